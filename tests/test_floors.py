"""Imports go down, package by package; a part is given its section of the configuration, not all of it.

``FLOORS`` is the order. The map in the docstring of ``lib`` lists the same packages in the same order.
"""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import lib
from tests.support.scripts import ROOT

# From the top down. The last row is the modules that lie in lib/ itself.
FLOORS = (
    ("api",),
    ("__main__",),
    ("commands",),
    ("roles",),
    ("runtime",),
    ("report",),
    ("training",),
    ("recording",),
    ("evaluation",),
    ("packing",),
    ("data",),
    ("formats",),
    ("checkpoints",),
    ("exchange",),
    ("models",),
    ("kernels",),
    ("config",),
    ("ipc",),
    ("system",),
    ("errors", "rng", "types"),
)
FLOOR = {name: number for number, row in enumerate(reversed(FLOORS)) for name in row}
# These compose a run, so they see the whole configuration. Everything else gets its section, or plain values.
SEES_CONFIG = (
    "lib.api.settings",
    "lib.commands.",
    "lib.roles.",
    "lib.config.",
    "lib.runtime.process",
    "lib.report.runs",
)


def imports(path: Path) -> set[str]:
    """Return the full name of every module that a file imports, wherever the statement stands."""
    package = path.relative_to(ROOT).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *filter(None, [node.module])])
            # "from .. import rng" names a module, "from ..config.schema import Config" a name in one.
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def source(module: str) -> Path:
    return ROOT / f"{module.replace('.', '/')}.py"


def lib_modules() -> Iterator[str]:
    for path in sorted((ROOT / "lib").rglob("*.py")):
        if path.name != "__init__.py":
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


IMPORTS = {module: imports(source(module)) for module in lib_modules()}


def package(module: str) -> str:
    """Return the package of a module of lib, or its own name if it lies in lib/ itself."""
    return module.split(".")[1]


def edges() -> set[tuple[str, str]]:
    """Return every pair (module of lib, module of lib that it imports)."""
    return {(module, name) for module, names in IMPORTS.items() for name in names & IMPORTS.keys()}


def reachable(module: str) -> set[str]:
    """Return the modules of lib that importing ``module`` loads, itself included."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name in IMPORTS and name not in seen:
            seen.add(name)
            todo += IMPORTS[name]
    return seen


def test_every_package_has_a_floor() -> None:
    assert {package(module) for module in IMPORTS} == FLOOR.keys()


def test_the_map_lists_the_packages_in_order() -> None:
    rows = re.findall(r"^    ((?:\w+, )*\w+)/? {2,}\S", lib.__doc__ or "", flags=re.MULTILINE)
    assert [tuple(row.split(", ")) for row in rows] == list(FLOORS)


@pytest.mark.parametrize("name", sorted(FLOOR))
def test_imports_go_down(name: str) -> None:
    up = [f"{a} -> {b}" for a, b in sorted(edges()) if package(a) == name and FLOOR[package(b)] > FLOOR[name]]
    assert not up, "move what both need to the lower package"


def test_no_circle_between_packages() -> None:
    graph: dict[str, set[str]] = {name: set() for name in FLOOR}
    for a, b in edges():
        if package(a) != package(b):
            graph[package(a)].add(package(b))
    TopologicalSorter(graph).prepare()  # raises CycleError, with the circle


def test_no_circle_between_modules() -> None:
    TopologicalSorter({module: names & IMPORTS.keys() for module, names in IMPORTS.items()}).prepare()


def test_only_what_composes_a_run_sees_the_whole_configuration() -> None:
    users = {module for module, names in IMPORTS.items() if "lib.config.schema.Config" in names}
    assert not {user for user in users if not user.startswith(SEES_CONFIG)}


@pytest.mark.parametrize("module", ["commands.train", "roles.loader", "commands.verify_data", "data.order"])
def test_without_torch(module: str) -> None:
    """``--help`` answers at once and a loader stays small, because nothing that they import imports torch."""
    users = {name for name in reachable(f"lib.{module}") if any(i.split(".")[0] == "torch" for i in IMPORTS[name])}
    assert not users


@pytest.mark.parametrize("module", ["data.order", "data.packed.layout", "training.schedule"])
def test_without_torch_and_sockets(module: str) -> None:
    users = {name for name in reachable(f"lib.{module}") if {i.split(".")[0] for i in IMPORTS[name]} & {"torch", "zmq"}}
    assert not users


def test_packages_import_nothing() -> None:
    for path in (ROOT / "lib").rglob("__init__.py"):
        if path.parent != ROOT / "lib":  # which imports its names when they are used
            assert not imports(path), path
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_imports_within_lib_are_relative() -> None:
    """The package is called ``lib`` in a clone and ``tandem`` where it is installed."""
    absolute = [
        f"{path}:{node.lineno}"
        for path in (ROOT / "lib").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "lib"
    ]
    assert not absolute


def test_no_test_file_imports_another() -> None:
    """What several test files share lives in tests/support, or is a fixture of conftest.py."""
    for path in (ROOT / "tests").rglob("*.py"):
        names = [name for name in imports(path) if name.startswith("tests.")]
        assert not [name for name in names if re.search(r"\.(test_\w+|conftest)\b", name)], path
