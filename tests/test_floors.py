"""Imports go down or stay on their floor: never up, never in a circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.scripts import ROOT

# From the ground up. A name ending in .* is every module of a package that is named on no other floor.
FLOORS: list[set[str]] = [
    {"errors", "chance", "config_checks", "config_data", "config_training", "machine.*"}
    | {"recording.pace", "recording.terminal", "recording.refresher", "recording.environment"}
    | {"recording.entries", "recording.words"}
    | {"checkpoints.seal", "checkpoints.background", "trackers.base"},
    {"config", "schedule", "models.recipes", "training.rollbacks", "command_line.switches"}
    | {"recording.metrics", "recording.log", "ipc.messages"}
    | {"data.layout", "data.data_set", "data.source", "data.decode", "data.resampling", "data.order", "data.views"}
    | {"data.tar_index", "data.pictures", "data.datum", "data.index", "data.windows", "data.colors"},
    {"data.*", "models.*", "ipc.*", "kernels.*", "evaluation.*", "checkpoints.checkpoint", "recording.profiler"},
    {"command_line.*", "formats.*", "trackers.*", "data.feed", "restarts"}
    | {"recording.console", "recording.live_line", "recording.epoch_table"}
    | {"machine.devices", "machine.limits", "machine.placement"},
    {"exchange.*", "checkpoints.weights"}
    | {"training.fine_tuning", "training.optimizer", "training.fused_optimizer", "training.steps"},
    {"training.plain_step", "training.fused_step"},
    {"training.*", "recording.*", "checkpoints.snapshots", "supervisor"},
    {"roles.*"},
    {"launch", "classify", "export", "doctor", "wholeness", "report.*"},
]


def modules() -> set[str]:
    """Every module of lib, without the "lib."."""
    files = (ROOT / "lib").rglob("*.py")
    return {".".join(p.relative_to(ROOT / "lib").with_suffix("").parts) for p in files if p.name != "__init__.py"}


def floor_of(module: str) -> int | None:
    """Its floor, by its own name or else by its package's."""
    for name in (module, f"{module.rpartition('.')[0]}.*"):
        for number, floor in enumerate(FLOORS):
            if name in floor:
                return number
    return None


FLOOR = {f"lib.{module}": floor_of(module) for module in sorted(modules())}


def imports(path: Path) -> set[str]:
    """Every module that a file names in an import statement, wherever in the file it stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            # "from lib import chance" names a module, "from lib.config.schema import Config" a thing in one.
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def source(module: str) -> Path:
    return ROOT / f"{module.replace('.', '/')}.py"


def reachable(module: str) -> set[str]:
    """What importing ``module`` brings in from lib, itself included."""
    seen, todo = set(), [module]
    while todo:
        name = todo.pop()
        if name in seen or not (name.startswith("lib.") and source(name).is_file()):
            continue
        seen.add(name)
        todo += imports(source(name))
    return seen


@pytest.mark.parametrize("module", sorted(FLOOR))
def test_imports_do_not_go_up(module: str) -> None:
    own = FLOOR[module]
    assert own is not None, f"give {module} a floor in FLOORS"
    above = {name for name in imports(source(module)) if (FLOOR.get(name) or 0) > own}
    assert not above, f"{module} (floor {own}) imports {sorted(above)}; move the shared part down"


def test_nothing_imports_itself_in_a_circle() -> None:
    graph = {module: imports(source(module)) & FLOOR.keys() for module in FLOOR}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError, with the circle


def test_floors_name_nothing_that_is_gone() -> None:
    packages = {f"{module.rpartition('.')[0]}.*" for module in modules()}
    assert {name for floor in FLOORS for name in floor} <= modules() | packages


@pytest.mark.parametrize("module", ["launch", "roles.loader", "wholeness", "data.order", "data.layout", "schedule"])
def test_without_torch(module: str) -> None:
    """--help answers at once, and a loader stays small, because nothing they import imports torch."""
    users = {
        name for name in reachable(f"lib.{module}") if any(i.split(".")[0] == "torch" for i in imports(source(name)))
    }
    assert not users


@pytest.mark.parametrize("module", ["data.order", "data.layout", "schedule"])
def test_without_sockets(module: str) -> None:
    assert not any("zmq" in imports(source(name)) for name in reachable(f"lib.{module}"))


def test_packages_import_nothing() -> None:
    for path in (ROOT / "lib").rglob("__init__.py"):
        assert not imports(path), path
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_no_test_file_imports_another() -> None:
    """What several test files share lives in tests/support, or is a fixture of conftest.py."""
    for path in (ROOT / "tests").rglob("*.py"):
        parts = [name.split(".") for name in imports(path) if name.startswith("tests.")]
        assert not [".".join(p) for p in parts if any(part == "conftest" or part.startswith("test_") for part in p)], (
            path
        )
