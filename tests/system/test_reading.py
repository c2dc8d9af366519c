"""Whatever a parser raises becomes one error that names the file and the fix."""

import os
import struct
import zipfile
from pathlib import Path

import pytest

from lib.errors import DataError, UserError, WeightsError, reading


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("odd header\nsecond line"), "a.bin is damaged (odd header); copy it again"),
        (struct.error(), "a.bin is damaged (error); copy it again"),
        (RecursionError("too deep"), "a.bin is damaged (too deep); copy it again"),
        (zipfile.BadZipFile("no zip"), "a.bin is damaged (no zip); copy it again"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad byte"), "a.bin is damaged ('utf-8' codec can't decode"),
        (OSError("Unable to open file"), "a.bin is damaged (Unable to open file); copy it again"),
        (PermissionError(13, "Permission denied"), "a.bin cannot be read: Permission denied; copy it again"),
        (FileNotFoundError(2, "gone"), "a.bin is missing; copy it again"),
        (MemoryError(), "a.bin is damaged (out of memory (MemoryError)); copy it again"),
    ],
)
def test_any_error_of_a_parser_names_the_file_and_the_fix(error: Exception, message: str) -> None:
    with pytest.raises(DataError) as raised, reading(Path("a.bin"), DataError, "copy it again"):
        raise error
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_errors_for_the_user_and_interrupts_pass(tmp_path: Path) -> None:
    for error in (WeightsError("says it already"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised, reading(tmp_path, DataError, "copy it again"):
            raise error
        assert raised.value is error


def test_a_pipe_in_place_of_a_file_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.npy")
    for path in (tmp_path / "labels.npy", Path("/dev/null")):
        with pytest.raises(UserError, match="is a pipe or a device, not a file"), reading(path, DataError, "copy it"):
            path.read_bytes()  # would wait for a writer
