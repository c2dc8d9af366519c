"""The hints at options of other trainers, and the page that explains them."""

import re

from lib.config.field_type import field_types
from lib.config.foreign_options import FOREIGN_OPTIONS
from lib.config.schema import Config
from tests.support.scripts import ROOT

PAGE = (ROOT / "docs/coming_from.md").read_text()
ROWS = re.findall(r"^\| (.+?) \| (.+?) \|$", PAGE, flags=re.MULTILINE)


def options(cell: str) -> list[str]:
    """Return the names in a cell of another trainer's options, without dashes and values."""
    return [re.split(r"[ :=]", code.strip("-"))[0].replace("-", "_") for code in re.findall(r"`(.+?)`", cell)]


def test_every_hint_is_on_the_page() -> None:
    for hint, names in FOREIGN_OPTIONS.items():
        keys = [word for word in re.findall(r"[\w.]+", hint) if word in field_types(Config)] or [hint]
        for name in names.split():
            cells = [ours for theirs, ours in ROWS if name.rpartition(".")[2] in options(theirs)]
            if hint.startswith("- "):
                assert any(cell.startswith("- ") for cell in cells), name
            else:
                assert any(all(key in cell for key in keys) for cell in cells), f"{name}: {hint}"


def test_every_option_on_the_page_has_one_hint() -> None:
    names = [name for names in FOREIGN_OPTIONS.values() for name in names.split()]
    dashed = re.findall(r"`(--?\w[\w-]*)", "\n".join(theirs for theirs, _ in ROWS))
    assert not {name.strip("-").replace("-", "_") for name in dashed} - set(names)
    assert len(names) == len(set(names))
