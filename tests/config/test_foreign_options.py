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
    for option, hint in FOREIGN_OPTIONS.items():
        cells = [ours for theirs, ours in ROWS if option.rpartition(".")[2] in options(theirs)]
        assert cells, f"docs/coming_from.md lacks {option}"
        keys = [word for word in re.findall(r"[\w.]+", hint) if word in field_types(Config)]
        if hint.startswith("- "):
            assert any(cell.startswith("- ") for cell in cells), option
        else:
            assert any(all(key in cell for key in keys or [hint]) for cell in cells), f"{option}: {hint}"


def test_every_option_on_the_page_has_a_hint() -> None:
    dashed = re.findall(r"`(--?\w[\w-]*)", "\n".join(theirs for theirs, _ in ROWS))
    assert not [name for name in dashed if name.strip("-").replace("-", "_") not in FOREIGN_OPTIONS]
