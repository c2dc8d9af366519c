"""Tests of the open-files limit, with the files of ImageNet, and of the memory of a process beside a training."""

import resource
import subprocess
import sys

import pytest

from lib.errors import ResourceError
from lib.system.limits import open_files, raise_open_files_limit
from tests.support.scripts import ROOT

TRAIN_FILES, VAL_FILES = 5004, 196
BATCH_FILES = TRAIN_FILES + VAL_FILES


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Soft and hard limit of open files of this process."""
    limits = [256, 4096]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))

    def change(_: int, new: tuple[int, int]) -> None:
        limits[:] = new

    monkeypatch.setattr(resource, "setrlimit", change)
    return limits


def test_all_files_may_be_open_at_once_where_the_hard_limit_allows(limits: list[int]) -> None:
    limits[1] = 1_000_000
    raise_open_files_limit(batch_files=BATCH_FILES, batch_size=256, world_size=4)
    assert 0.4 * limits[0] > TRAIN_FILES


def test_otherwise_the_soft_limit_becomes_the_hard_limit(limits: list[int]) -> None:
    raise_open_files_limit(batch_files=BATCH_FILES, batch_size=256, world_size=1)
    assert limits == [4096, 4096]


def test_a_run_needs_the_files_of_a_batch_or_all_files() -> None:
    assert open_files(batch_files=BATCH_FILES, batch_size=256, world_size=1) == 64 + 16 + 2 * 256
    assert open_files(batch_files=BATCH_FILES, batch_size=8, world_size=1) == 5 * (64 + 16)
    assert open_files(batch_files=5, batch_size=256, world_size=1) == 64 + 16 + 5


def test_a_higher_limit_is_not_lowered(limits: list[int]) -> None:
    limits[:] = [100_000, 1_000_000]
    raise_open_files_limit(batch_files=BATCH_FILES, batch_size=256, world_size=1)
    assert limits == [100_000, 1_000_000]


def test_a_hard_limit_that_is_too_low_is_an_error(limits: list[int]) -> None:
    limits[:] = [128, 128]
    needed = open_files(batch_files=BATCH_FILES, batch_size=256, world_size=1)
    message = f"may open 128 files on this machine, but this run needs {needed}: raise the limit"
    with pytest.raises(ResourceError, match=message):
        raise_open_files_limit(batch_files=BATCH_FILES, batch_size=256, world_size=1)
    assert limits == [128, 128]


def test_a_process_beside_a_training_takes_no_memory_that_others_need() -> None:
    program = (
        "from lib.system.limits import spare_memory; spare_memory(); import resource; "
        "print(open('/proc/self/oom_score_adj').read().strip(), resource.getrlimit(resource.RLIMIT_DATA)[0] > 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "1000 True\n"
