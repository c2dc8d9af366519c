"""The commands in README.md and docs are valid, and those in marked blocks run.

Blocks of ``sh run`` run unchanged. Blocks of ``sh small`` run with keys that make them small, on two tar files like
those of ImageNet. In blocks of ``sh`` every script exists and takes these options.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from lib.commands import classify, export, train, validate
from lib.commands.configuration import parse_config
from lib.packing.settings import parse_settings
from lib.report import __main__ as report
from tests.support.pages import PAGES, blocks, commands
from tests.support.scripts import ROOT
from tests.support.tiny_tree import SHAPES, WNIDS, jpeg, make_tree, tar_of, tar_of_tars, write_synsets

SHOWN = [(path, words) for path in PAGES for words in commands(path)]
Check = Callable[[Sequence[str]], object]


def check_training(spec: str) -> Check:
    def check(argv: Sequence[str]) -> None:
        train.parse(argv, "", ROOT / spec)

    return check


def check_validation(argv: Sequence[str]) -> None:
    validate.parse(argv, "", ROOT / "spec_1gpu.yaml")


def check_doctor(argv: Sequence[str]) -> None:
    parse_config(argv, description="", spec=ROOT / "spec_1gpu.yaml")


def check_preprocessing(argv: Sequence[str]) -> None:
    parse_settings("", "", argv)


def check_make(argv: Sequence[str]) -> None:
    text = (ROOT / "Makefile").read_text()
    targets = {
        *re.findall(r"^(\w+):", text, flags=re.MULTILINE),
        *re.findall(r"\$\((?:filter cpu,\$\()?([A-Z]+)\)", text),
    }
    assert {word.partition("=")[0] for word in argv} <= targets


def check_pip(argv: Sequence[str]) -> None:
    files = [argv[number + 1] for number, word in enumerate(argv) if word == "-r"]
    assert all((ROOT / file).is_file() for file in files)


def check_tandem(argv: Sequence[str]) -> None:
    assert argv in (["verify"], ["--help"])


CHECKS: dict[str, Check] = {
    "train.py": check_training("spec_1gpu.yaml"),
    "train_2gpu.py": check_training("spec_2gpu.yaml"),
    "validate.py": check_validation,
    "classify.py": lambda argv: classify.parse(argv, ""),
    "export.py": lambda argv: export.parse(argv, ""),
    "lib.report": report.arguments,
    "lib.commands.doctor": check_doctor,
    "preprocessing/generate_data.sh": check_preprocessing,
    "preprocessing/generate_toy_data.sh": check_preprocessing,
    "make": check_make,
    "tandem": check_tandem,
    "pip": check_pip,
}
# The commands of an installed package, and the same in a clone.
INSTALLED = {
    **{name: f"{name}.py" for name in ("train", "validate", "classify", "export")},
    **{"report": "lib.report", "doctor": "lib.commands.doctor", "pack": "preprocessing/generate_data.sh"},
}

# Programs of others.
OTHERS = {"tensorboard", "activate-global-python-argcomplete", "pre-commit", "source", "docker", "kubectl", "python3"}

# Placeholders.
MEANT = {
    "WEIGHTS_DIR": "models",
    "DIR": "data",
    "N": "5",
    "benchmarks.NAME": "benchmarks.step",
    "two_layers": "tiny",
    "COMMAND": "--help",
}


def of_a_clone(words: Sequence[str]) -> Sequence[str]:
    """Return the command of a clone that does what one of an installed package does."""
    if words[0] in ("python", "torchrun") and "tandem" in words:
        words = words[words.index("tandem") :]
    if words[0] != "tandem" or words[1] not in INSTALLED:
        return words
    at = words.index("--workers") if "--workers" in words else len(words)
    script = INSTALLED[words[1]]
    return [*["python"][script.endswith(".sh") :], script, *words[2:at], *words[at + 2 :]]


def understood(words: Sequence[str]) -> None:
    """Raise, or exit with a status other than 0, if a command is wrong."""
    words = of_a_clone(words)
    if words[0] == "torchrun":
        script = next(number for number, word in enumerate(words) if word.endswith(".py"))
        return understood(["python", *words[script:]])
    if words[0] == "sbatch":
        script = next(number for number, word in enumerate(words) if word.endswith(".sh"))
        assert (ROOT / words[script]).is_file()
        return understood(["python", "train.py", *words[script + 1 :]])
    if words[:2] == ["docker", "run"]:
        return understood(words[words.index("tandem") :])
    if words[0] == "python":
        words = words[2:] if words[1] == "-m" else words[1:]
        if words[0] not in CHECKS or len(words) == 1:  # it has no options to check
            assert (ROOT / words[0]).is_file() or find_spec(words[0])
            return None
    if words[0] not in OTHERS:
        CHECKS[words[0]](words[1:])
    return None


@pytest.mark.parametrize(("path", "words"), SHOWN, ids=[f"{p.stem}: {' '.join(w)[:60]}" for p, w in SHOWN])
def test_commands_name_scripts_and_options_that_exist(
    path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        understood([MEANT.get(word, word) for word in words])
    except SystemExit as ended:  # --help and similar
        assert not ended.code, capsys.readouterr().err


def test_a_wrong_command_is_noticed() -> None:
    for line in (
        "python trainn.py",
        "python train.py --run.n_epoch 3",
        "python classify.py --top many x.jpg",
        "make demos",
        "preprocessing/generate_data.sh --train_dir x",
        "python -m lib.nothing",
        "torchrun train.py --exchange.method collectiv",
    ):
        with pytest.raises((Exception, SystemExit)):
            understood(line.split())


SMALL = """#!/bin/sh
case "$1 $2" in
train*) set -- "$@" --model.name tiny --batch_size 8 --devices '[cpu, cpu]' --run.n_epochs 1 \
    --logging.report false --logging.tensorboard false ;;
validate*) set -- "$@" --model.name tiny --batch_size 8 ;;
"-m preprocessing."*) set -- "$@" --img_size 36 --file_batch_size 16 --workers 1 ;;
esac
"""


def run_blocks(folder: Path, code: str, small: str = "#!/bin/sh\n") -> subprocess.CompletedProcess[str]:
    """Run ``code`` in ``folder`` with links to the files of the repository, so that it leaves nothing behind."""
    shutil.copytree(ROOT / "preprocessing", folder / "preprocessing")  # which packs into the folder it lies in
    for entry in (ROOT / "lib", *ROOT.glob("*.yaml"), *ROOT.glob("*.py"), *ROOT.glob("*.txt")):
        (folder / entry.name).symlink_to(entry)
    tools = folder / "tools"
    tools.mkdir()
    programs = {"python": f'{small}exec "{sys.executable}" "$@"\n', "pip": "#!/bin/sh\n"}
    for name, text in programs.items():
        (tools / name).write_text(text)
        (tools / name).chmod(stat.S_IRWXU)
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=folder,
        env=os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHON": "python", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.parametrize("path", [path for path in PAGES if blocks(path, "sh run")], ids=lambda path: path.name)
def test_marked_commands_run(tmp_path: Path, path: Path) -> None:
    done = run_blocks(tmp_path, "".join(blocks(path, "sh run")))
    assert done.returncode == 0, f"{path.name}: {done.stdout[-500:]}{done.stderr[-1000:]}"


def test_the_way_from_tar_files_to_predictions_works(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", train=10, val=2)
    tar_of_tars(tree / "train", tmp_path / "ILSVRC2012_img_train.tar")
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, picture in enumerate(sorted((tree / "val").rglob("*.JPEG")), 1):
        picture.rename(flat / f"ILSVRC2012_val_{number:08d}.JPEG")
    tar_of(flat, tmp_path / "ILSVRC2012_img_val.tar")
    write_synsets(tmp_path / "meta.mat", *SHAPES[0])
    (tmp_path / "ILSVRC2012_validation_ground_truth.txt").write_text("3\n3\n2\n2\n1\n1\n")
    (tmp_path / "photo.jpg").write_bytes(jpeg(1))
    done = run_blocks(tmp_path, "".join(blocks(ROOT / "docs/imagenet.md", "sh small")), SMALL)
    assert done.returncode == 0, f"{done.stdout[-500:]}{done.stderr[-1000:]}"
    assert f"30 training and 6 validation images of {len(WNIDS)} classes, 36 x 36" in done.stdout
    assert len(re.findall(r"^(?:tench|setter|kit fox, Vulpes macrotis) \(score = ", done.stdout, re.MULTILINE)) == 3
    assert "10 crops" in done.stdout
    assert (tmp_path / "alexnet.safetensors").stat().st_size > 10_000
