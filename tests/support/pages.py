"""Read the pages of the documentation and the commands in them."""

import re
import shlex
from pathlib import Path

from tests.support.scripts import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(path: Path, kind: str) -> list[str]:
    """Return the fenced blocks of this kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def commands(path: Path) -> list[list[str]]:
    """Return the words of every command, in blocks of any kind of ``sh`` and in running text."""
    shown = "".join(block for kind in ("sh", "sh run", "sh small") for block in blocks(path, kind))
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`((?:python|torchrun|tandem|make|preprocessing/\w+\.sh|pip) [^`]+)`", text)
    lines = [*shown.replace("\\\n", " ").splitlines(), *(" ".join(code.split()) for code in inline)]
    return [words for line in lines if (words := shlex.split(line, comments=True))]
