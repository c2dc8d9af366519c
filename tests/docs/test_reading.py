"""The core that docs/reading.md lists can be read in an evening."""

import re

from tests.support.scripts import ROOT

MOST_FILES, MOST_LINES = 20, 2200
# The parts of the main job; a path in the list contains each of them.
PARTS = (
    *("trainer", "loader", "supervisor", "step", "optimizer", "flat", "sync", "peer", "feed", "order", "augment"),
    *("messages", "channel", "packing"),
)


def entries() -> dict[str, str]:
    """Return the sentence about each file of docs/reading.md, in its order."""
    page = (ROOT / "docs/reading.md").read_text()
    found = re.findall(r"^\d+\. \[`([^`]+)`\]\(\.\./([^)]+)\): (.+(?:\n {3}.+)*)", page, flags=re.MULTILINE)
    assert all(shown == target for shown, target, _ in found)
    assert len(found) == len(re.findall(r"^\d+\. ", page, flags=re.MULTILINE))
    return {target: sentence for _, target, sentence in found}


def test_the_core_is_at_most_20_files_and_2200_lines() -> None:
    lines = {path: len((ROOT / path).read_text().splitlines()) for path in entries()}
    assert len(lines) <= MOST_FILES
    assert sum(lines.values()) <= MOST_LINES, lines


def test_the_core_has_every_part_of_the_main_job() -> None:
    assert not [part for part in PARTS if not any(part in path for path in entries())]


def test_each_file_has_one_sentence() -> None:
    for path, sentence in entries().items():
        assert sentence.endswith(".") and sentence.count(". ") == 0, path
