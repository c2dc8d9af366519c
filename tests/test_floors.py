"""Imports go down only: a module may import from lower floors; never from its own, from above, or in a circle."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS: list[set[str]] = [
    {"errors", "chance", "pace", "parenthood", "refresher", "environment", "profiler", "trackers.base"},
    {"switches", "peers", "disk", "report.drawing", "report.images", "report.predictions"},
    {"config", "data.layout", "models.layers"},
    {"schedule", "data.order", "data.views", "data.source", "ipc.messages", "log", "metrics"},
    {"models.alexnet", "models.tiny", "data.hickle_batches", "data.plan", "data.upload"},
    {"data.checks", "checkpoint", "ipc.channel", "ipc.shared", "ipc.cuda_memory", "models.registry", "console"},
    {"report.answers", "trackers.tensorboard", "trackers.wandb", "trackers.mlflow", "intervals", "trackers.registry"},
    {"command_line", "devices", "data.feed", "exchange.base", "exchange.flat"},
    {"exchange.alone", "exchange.peer", "optimizer"},
    {"replica", "supervisor"},
    {"snapshots", "roles.process"},
    {"recorder", "roles.setup"},
    {"roles.introduction"},
    {"roles.loader", "roles.trainer", "roles.validator", "roles.rehearsal", "roles.fitter"},
    {"launch", "doctor"},
    {"report.runs", "report.network", "report.events"},
    {"report.curves", "report.chapters"},
    {"report.page"},
    {"report.__main__"},
]
FLOOR = {f"lib.{module}": number for number, floor in enumerate(FLOORS) for module in floor}
PREPROCESSING = {"lib.data.decode", "lib.data.pictures", "lib.data.tar_index"}


def imports(path: Path) -> set[str]:
    """Every module that a file names in an import statement, wherever in the file it stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            # "from lib import chance" names a module, "from lib.config import Config" a thing in one.
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


def modules() -> set[str]:
    files = (ROOT / "lib").rglob("*.py")
    return {".".join(p.relative_to(ROOT).with_suffix("").parts) for p in files if p.name != "__init__.py"}


@pytest.mark.parametrize("module", sorted(FLOOR))
def test_imports_go_down(module: str) -> None:
    above = {name for name in imports(source(module)) if name in FLOOR and FLOOR[name] >= FLOOR[module]}
    assert not above, f"{module} (floor {FLOOR[module]}) imports {sorted(above)}; move the shared part down"


def test_every_module_has_a_floor() -> None:
    assert modules() - PREPROCESSING == set(FLOOR)


@pytest.mark.parametrize("module", ["launch", "roles.loader", "data.order", "data.layout", "schedule"])
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
