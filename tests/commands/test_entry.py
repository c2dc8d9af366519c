"""Ctrl-C in the first second, while a script still imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lib.commands import train
from lib.errors import ConfigError
from tests.support.scripts import ROOT

# Every Python process imports a module of this name. It interrupts the import of a module that all commands need.
INTERRUPT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPTED"]:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize(
    ("script", "module"),
    [
        ("train.py", "importlib.metadata"),
        ("train.py", "msgspec"),
        ("train_2gpu.py", "msgspec"),
        ("validate.py", "msgspec"),
        ("classify.py", "msgspec"),
    ],
)
def test_ctrl_c_during_the_imports_is_no_traceback(tmp_path: Path, script: str, module: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPT)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "INTERRUPTED": module}
    words = [sys.executable, str(ROOT / script), "--help"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (130, "stopped\n")


def test_scripts_work_without_docstrings_through_a_link_and_with_a_safe_path(tmp_path: Path) -> None:
    (tmp_path / "linked.py").symlink_to(ROOT / "train.py")
    words = [sys.executable, "-OO", str(tmp_path / "linked.py"), "--print_config"]
    environment = os.environ | {"PYTHONSAFEPATH": "1"}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_deleted_working_folder_is_an_error_of_one_line(tmp_path: Path) -> None:
    words = ["sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh"]
    words += [sys.executable, str(ROOT / "train.py"), "--print_config"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "error: the working folder has been deleted; change to another one\n"


SCRIPTS = {
    "train.py": ("--run.n_epochs", "--find_learning_rate", "--optimizer.learning_rate"),
    "validate.py": ("--crops", "--model.classes", "--batch_size"),
    "classify.py": ("--checkpoint", "--top"),
    "export.py": ("--checkpoint", "--format"),
    "validate_data.py": ("--data.dir",),
    "-m lib.commands.doctor": ("--data.dir", "--devices"),
    "-m lib.report": ("--out",),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_short_lists_what_the_script_uses_and_starts_without_torch(script: str) -> None:
    words = [word if word.startswith(("-", "lib")) else str(ROOT / word) for word in script.split()]
    command = [sys.executable, "-X", "importtime", *words, "--help"]
    environment = os.environ | {"COLUMNS": "80"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    assert done.stdout.count("\n") < 80
    assert not [line for line in done.stderr.splitlines() if line.endswith((" torch", " matplotlib"))]
    for option in SCRIPTS[script]:
        assert f"  {option} " in done.stdout
    if script != "train.py":
        assert "--optimizer" not in done.stdout


def test_help_of_a_section_or_of_all_keys(capsys: pytest.CaptureFixture[str]) -> None:
    def shown(*words: str) -> str:
        with pytest.raises(SystemExit):
            train.parse(["--help", *words], "", ROOT / "spec_1gpu.yaml")
        return capsys.readouterr().out

    assert "--optimizer.nesterov" not in shown()
    assert "--optimizer.nesterov" in (section := shown("optimizer"))
    assert "--run.seed" not in section
    assert "--devices" in shown("spec")
    assert all(f"--{key} " in shown("all") for key in ("optimizer.nesterov", "run.seed", "devices"))
    with pytest.raises(ConfigError, match="--help optimiser: there is no such section; name one of spec, run, data"):
        train.parse(["--help", "optimiser"], "", ROOT / "spec_1gpu.yaml")
