"""Options of other trainers, for those who know them: docs/coming_from.md says what became of each."""

import re
from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs/coming_from.md"


def became(name: str) -> str:
    """What became of another trainer's option, given without dashes, as a hint; nothing of what is not known.

    >>> became("nClasses"), became("batch")
    ('docs/coming_from.md: none: counted', '')
    """
    try:
        page = _PAGE.read_text(encoding="utf-8")
    except OSError:  # a program without its pages
        return ""
    for theirs, ours in re.findall(r"^\| (.+?) \| (.+?) \|$", page, flags=re.MULTILINE):
        options = (code.strip("-").split()[0].rstrip(":").partition("=")[0] for code in re.findall(r"`(.+?)`", theirs))
        if name in options:
            return f"docs/coming_from.md: {re.sub('^- ', 'none: ', ours).replace('`', '')}"
    return ""
