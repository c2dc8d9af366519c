"""Apply the worked example of a page in ``docs/`` to a copy of the program.

A block ``python`` whose first line is ``# FILE`` is a new file. A block ``diff`` edits existing files: after a line
``--- FILE``, the lines that begin with ``-`` or a space are found in the file, and those with ``+`` or a space replace
them. An empty line separates edits of the same file.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.pages import blocks
from tests.support.scripts import ROOT

COPIED = ("lib", "pyproject.toml", "train.py", "config.yaml", "spec_1gpu.yaml", "spec_2gpu.yaml")


def apply_example(page: Path, folder: Path) -> int:
    """Apply the example of ``page`` to the program in ``folder``; return the number of lines of the example.

    Copies the program into ``folder`` first if it is not there, so that several examples can be applied to one copy.
    """
    if not (folder / "lib").exists():
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
    files = [block.split("\n", 1) for block in blocks(page, "python")]
    for first, code in files:
        (folder / first.removeprefix("# ")).write_text(code, encoding="utf-8")
    edits = blocks(page, "diff")
    for edit in edits:
        _edit(edit, folder)
    return sum(len(code.splitlines()) for _, code in files) + sum(len(edit.splitlines()) for edit in edits)


def _edit(block: str, folder: Path) -> None:
    for part in re.split(r"^--- ", block, flags=re.MULTILINE)[1:]:
        name, _, hunks = part.partition("\n")
        path = folder / name
        text = path.read_text(encoding="utf-8")
        for hunk in hunks.strip("\n").split("\n\n"):
            lines = [line + "\n" for line in hunk.split("\n")]
            before = "".join(line[1:] for line in lines if line[0] in "- ")
            after = "".join(line[1:] for line in lines if line[0] in "+ ")
            assert text.count(before) == 1, f"{name} has no such place, or several; change the page:\n{before}"
            text = text.replace(before, after)
        path.write_text(text, encoding="utf-8")


def run_python(folder: Path, *words: str) -> str:
    """Run Python in ``folder`` and return its output."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-500:]}{done.stderr[-1000:]}"
    return done.stdout
