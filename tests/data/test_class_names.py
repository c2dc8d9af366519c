"""Lists of class names: one line a class, whatever the line holds."""

from pathlib import Path

import pytest

from lib.data.class_names import read_words
from lib.errors import DataError


def test_a_line_without_a_name_does_not_shift_the_lines_after_it(tmp_path: Path) -> None:
    path = tmp_path / "synset_words.txt"
    path.write_bytes("\ufeffn01 tench, Tinca tinca\r\nn02\n\nn03 hüte\n".encode())
    assert read_words(path) == {"n01": "tench, Tinca tinca", "n02": "n02", "n03": "hüte"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"n01 a\nn02 b\nn01 c\n", "words.txt names n01 twice; remove one of these lines"),
        ("n01 hüte\n".encode("latin-1"), "words.txt is damaged .*0xfc.*; save it as UTF-8 text of lines like"),
    ],
)
def test_other_lists_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_words(tmp_path / "words.txt")
