"""The program where it is installed: a package called tandem, with a command of that name and its own settings."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lib
from lib.__main__ import main
from lib.commands.entry import COMMANDS
from lib.packing.pack import STEPS
from lib.system import program
from tests.support.data_files import write_jpeg_folder
from tests.support.scripts import ROOT

INSTALL = "-m pip install --quiet --no-deps --no-build-isolation --disable-pip-version-check --no-compile --target"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install a copy of the clone, without what it depends on, into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    clone = folder / "clone"
    shutil.copytree(ROOT / "lib", clone / "lib", symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (
        "pyproject.toml",
        "setup.py",
        "README.md",
        "LICENSE",
        "config.yaml",
        *(f"spec_{n}gpu.yaml" for n in (1, 2, 4, 8)),
    ):
        shutil.copy(ROOT / name, clone)
    words = [sys.executable, *INSTALL.split(), str(folder / "site"), str(clone)]
    subprocess.run(words, check=True, capture_output=True, text=True, timeout=120)
    shutil.rmtree(clone)
    return folder / "site"


def run(site: Path, cwd: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(site), "PATH": f"{site}/bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def tandem(site: Path, cwd: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return run(site, cwd, site / "bin/tandem", *words)


# As a user writes it, without a guard.
SCRIPT = """
import os, signal, threading, warnings
import tandem

train = tandem.train  # imports PyTorch, which adds filters of warnings
before = [signal.getsignal(n) for n in range(1, 32)], os.getcwd(), list(warnings.filters)
settings = {
    "model.name": "tiny", "batch_size": 8, "devices": ["cpu"], "run.n_epochs": 1, "compute": {"threads": 1},
    "logging": {"print_freq": 1, "report": False, "tensorboard": False},
}
runs = []
thread = threading.Thread(target=lambda: runs.append(train(settings)))
thread.start()
thread.join()
assert ([signal.getsignal(n) for n in range(1, 32)], os.getcwd(), list(warnings.filters)) == before
print(runs[0].folder, runs[0].best_epoch)
print(runs[0].network("cpu").predict("photos/val/n00/000.JPEG").probability)
"""


def test_the_installed_program_packs_trains_in_a_thread_and_classifies(site: Path, tmp_path: Path) -> None:
    write_jpeg_folder(tmp_path / "photos")
    photos = [f"--{split}_img_dir=photos/{split}" for split in ("train", "val")]
    packed = tandem(site, tmp_path, "pack", *photos, "--img_size", 32, "--workers", 1)
    assert packed.returncode == 0, packed.stderr
    assert packed.stdout.endswith(f"24 training and 8 validation labels in {tmp_path}/data/labels\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    trained = run(site, tmp_path, sys.executable, "script.py")
    assert trained.returncode == 0, trained.stderr
    assert "epoch 1/1  iteration 3/3 " in trained.stdout
    assert " tandem validate --checkpoint models\n" in trained.stdout
    assert (tmp_path / "models/command.txt").read_text().startswith(f"cd {tmp_path} && tandem train --model.name=tiny ")
    *_, folder, probability = trained.stdout.splitlines()
    assert folder == f"{tmp_path}/models 1"
    classified = tandem(site, tmp_path, "classify", "photos/val/n00/000.JPEG", "--json")
    assert classified.returncode == 0, classified.stderr
    assert json.loads(classified.stdout)["best"][0]["score"] == float(probability)


@pytest.mark.parametrize("name", ["validate", "report", "verify"])
def test_the_help_of_installed_commands_names_no_scripts(site: Path, tmp_path: Path, name: str) -> None:
    shown = tandem(site, tmp_path, name, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"usage: tandem {name} " in shown.stdout
    assert f"\n  tandem {name} " in shown.stdout
    assert not [word for word in (".py", "python -m lib", ".sh") if word in shown.stdout.partition("options:")[0]]


def test_workers_choose_the_settings_of_so_many_devices(site: Path, tmp_path: Path) -> None:
    shown = tandem(site, tmp_path, "train", "--workers", 4, "--batch_size", 8, "--print_config")
    assert shown.returncode == 0, shown.stderr
    assert "devices: [auto, auto, auto, auto]" in shown.stdout
    assert "batch_size: 8\n" in shown.stdout
    wrong = tandem(site, tmp_path, "train", "--workers", 3)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: --workers: there are settings for 1, 2, 4, 8 workers, not for 3; ")


def test_errors_of_an_installed_program_name_its_commands(site: Path, tmp_path: Path) -> None:
    (tmp_path / "data/misc").mkdir(parents=True)
    shown = tandem(site, tmp_path, "verify", "--data.source", "hickle")
    assert shown.returncode == 2
    assert "tandem pack" in shown.stderr
    assert ".sh" not in shown.stderr


def test_scripts_of_a_clone_keep_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "run preprocessing/generate_data.sh, then python train.py"
    assert program.as_called(text) == text
    monkeypatch.setattr(program, "CLONE", None)
    assert program.as_called(text) == "run tandem pack, then tandem train"
    assert program.as_called("python -m lib.commands.doctor") == "tandem doctor"
    add_offsets = program.as_called("python -m preprocessing.add_offsets")
    assert add_offsets == "python -m tandem.packing.add_offsets"
    assert program.as_called("train_2gpu.py") == "tandem train --workers 2"


def test_the_command_that_comes_next_has_its_path_only_where_the_shell_needs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(program, "CLONE", None)
    script = tmp_path / "tandem"
    script.touch(0o755)
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, str(script), "train"])
    assert program.command_words("validate") == [str(script), "validate"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program.command_words("validate") == ["tandem", "validate"]


def test_the_version_is_that_of_the_package(site: Path, tmp_path: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert lib.__version__ == version
    assert tandem(site, tmp_path, "--version").stdout == f"tandem {version}\n"


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import lib, sys; print(sorted({'torch', 'numpy', 'zmq', 'lib.api'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    with pytest.raises(AttributeError, match="module 'lib' has no attribute 'opening'"):
        _ = lib.opening  # type: ignore[attr-defined]


def test_a_wrong_command_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["tandem", "training"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_every_script_is_a_command() -> None:
    scripts = {path.stem for path in ROOT.glob("*.py")} - {"setup"}
    assert scripts <= COMMANDS.keys()


def test_tandem_pack_does_the_steps_of_the_script() -> None:
    script = (ROOT / "preprocessing/generate_data.sh").read_text()
    [steps] = re.findall(r"^for script in (.*); do$", script, flags=re.MULTILINE)
    assert steps.split() == [step.__name__ for step in STEPS]


def test_the_package_brings_the_settings_of_the_clone() -> None:
    files = sorted(path.name for path in ROOT.glob("*.yaml") if path.name == "config.yaml" or "spec" in path.name)
    for name in files:
        assert (ROOT / "lib/defaults" / name).resolve() == ROOT / name
