"""Run some cells of the failure matrix; ``python -m tests.failure_matrix`` runs all of them."""

import pytest

from tests.failure_matrix.cells import FAULTS, GROUP_FAULTS, MOMENTS, ROLES, Cell, cells
from tests.failure_matrix.experiment import Bench

# Every role and moment at least once, and every fault except silence, which takes 15 s. The first is also resumed,
# because the next run has to deal with a save that was cut off.
SAMPLE = (
    "trainer 0/saving/SIGKILL",
    "trainer 1/training/SIGSTOP",
    "trainer 1/validating/out of memory",
    "trainer 0/training/SIGTERM",
    "loader 1/starting/exception",
    "supervisor/training/SIGKILL",
    "supervisor/training/SIGTERM",
    "trainer 1/stopping/exception",
    "group/training/SIGINT/jpeg_folder",
    "group/saving/SIGHUP twice",
    "group/training/SIGUSR1/lmdb",
    "trainer 1/training/SIGKILL/split",
)
RESUMED = SAMPLE[:1]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("matrix"))


@pytest.mark.parametrize("name", SAMPLE)
def test_a_disturbed_run_ends_as_expected_and_leaves_nothing_behind(bench: Bench, name: str) -> None:
    assert not bench.try_out(Cell(*name.split("/")), resume=name in RESUMED).wrong


def test_the_sample_covers_every_role_moment_and_fault() -> None:
    assert {cell.name for cell in cells()} >= set(SAMPLE)
    roles, moments, faults = map(set, zip(*(name.split("/")[:3] for name in SAMPLE), strict=True))
    assert (roles, moments) == ({*ROLES, "group"}, set(MOMENTS))
    assert faults == {*FAULTS, *GROUP_FAULTS} - {"silence"}
