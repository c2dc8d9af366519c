"""The program where it is installed: a package called tandem, with a command of that name and its own settings."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lib.__main__ import main
from lib.commands.entry import COMMANDS
from lib.system import program
from tests.support.data_files import write_jpeg_folder
from tests.support.scripts import ONE_WORKER, ROOT

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


def tandem(site: Path, cwd: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [site / "bin/tandem", *map(str, words)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_installed_commands_pack_train_and_classify(site: Path, tmp_path: Path) -> None:
    write_jpeg_folder(tmp_path / "photos")
    photos = [f"--{split}_img_dir=photos/{split}" for split in ("train", "val")]
    packed = tandem(site, tmp_path, "pack", *photos, "--img_size", 32, "--workers", 1)
    assert (packed.returncode, packed.stdout.splitlines()[-1]) == (
        0,
        f"24 training and 8 validation labels in {tmp_path}/data/labels",
    )
    options = ("--run.n_epochs", 1, "--logging.report", "false", "--logging.tensorboard", "false")
    trained = tandem(site, tmp_path, "train", *ONE_WORKER, *options)
    assert trained.returncode == 0, trained.stderr
    assert f"{site}/bin/tandem validate --checkpoint models\n" in trained.stdout
    assert (tmp_path / "models/command.txt").read_text().startswith(f"cd {tmp_path} && tandem train --model.name tiny ")
    classified = tandem(site, tmp_path, "classify", "photos/val/n00/000.JPEG")
    assert classified.returncode == 0, classified.stderr
    assert classified.stdout.count("(score = ") == 4


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
    assert wrong.stderr.startswith("error: --workers is 3; there are settings for 1, 2, 4, 8. ")


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
    assert program.as_called("train_2gpu.py") == "tandem train --workers 2"


def test_a_wrong_command_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["tandem", "trian"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_every_script_is_a_command() -> None:
    scripts = {path.stem for path in ROOT.glob("*.py")} - {"setup"}
    assert scripts <= COMMANDS.keys()
