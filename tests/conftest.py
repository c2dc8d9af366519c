"""Small data sets in the real layout, and a way to run the real scripts."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.data_sets import write_data_set
from tests.support.scripts import FINISHED, ONE, ROOT, Script, command

# Several processes test at once; threads of theirs that wait for each other would use up the cores. This is read when
# PyTorch is imported, and inherited by processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Kernels are compiled where there is a GPU and interpreted elsewhere; Triton asks when they are first imported.
if not list(Path("/dev").glob("nvidia[0-9]*")):
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """The folder of a small complete data set of 48 training and 20 validation images."""
    return write_data_set(tmp_path / "data").dir


@pytest.fixture
def run_script(tmp_path: Path) -> Script:
    """Runs a script of the project as a user would, in an empty folder, and returns how it ended."""

    def run(script: str, *arguments: object, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(script, *arguments),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run


@pytest.fixture
def run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Script:
    """As ``run_script``, but within this process, which spares its start: for what starts no processes of its own."""

    def run(script: str, *arguments: object, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", command(script, *arguments)[1:])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        return subprocess.CompletedProcess(script, int(str(ended.value.code)), *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def _finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    write_data_set(folder / "data")
    words = command("train_2gpu.py", *FINISHED, "--run.n_epochs", 1)
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture
def finished_run(tmp_path: Path, _finished_run: Path) -> Path:
    """The folder of a test in which a run with the options ``FINISHED`` has done its one epoch."""
    return shutil.copytree(_finished_run, tmp_path, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def _one_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    write_data_set(folder / "data")
    words = command("train.py", *ONE, "--run.keep", 9)
    done = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True, timeout=120)
    (folder / "said").write_text(done.stdout)
    return folder


@pytest.fixture
def one_run(tmp_path: Path, _one_run: Path) -> Path:
    """As ``finished_run``: one worker, with the options ``ONE``; all checkpoints are kept, and what it ``said``."""
    return shutil.copytree(_one_run, tmp_path, dirs_exist_ok=True)
