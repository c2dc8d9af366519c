"""Fixtures: small data sets in the real layout, and ways to run the real scripts."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.data_sets import write_data_set
from tests.support.scripts import ONE_WORKER, ROOT, TINY_RUN, Script, command

# Several test processes share the cores, so more threads per process would only wait for each other. PyTorch reads this
# when it is imported; processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Kernels are compiled on a machine with a GPU and interpreted elsewhere. Triton reads this when it is first imported.
if not list(Path("/dev").glob("nvidia[0-9]*")):
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """Write a data set of 48 training and 20 validation images, and return its folder."""
    return write_data_set(tmp_path / "data").dir


@pytest.fixture
def run_script(tmp_path: Path) -> Script:
    """Run a script as a user would, in the folder of the test, and return the completed process."""

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
    """Run a script within this process, which is faster, for scripts that start no processes."""

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
    words = command("train_2gpu.py", *TINY_RUN, "--run.n_epochs", 1)
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture
def finished_run(tmp_path: Path, _finished_run: Path) -> Path:
    """Return the folder of a test in which a run with the options ``TINY_RUN`` has trained for one epoch."""
    return shutil.copytree(_finished_run, tmp_path, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def _one_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    write_data_set(folder / "data")
    words = command("train.py", *ONE_WORKER, "--run.keep", 9)
    done = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True, timeout=120)
    (folder / "stdout").write_text(done.stdout)
    return folder


@pytest.fixture
def one_run(tmp_path: Path, _one_run: Path) -> Path:
    """Return the folder of a finished run of one worker with the options ``ONE_WORKER``.

    It keeps every checkpoint, and its standard output in the file ``stdout``.
    """
    return shutil.copytree(_one_run, tmp_path, dirs_exist_ok=True)
