"""What took the place of a file after it was listed is an error and no hang."""

import os
from pathlib import Path

import pytest

from lib.data.images.listing import ImageFile
from lib.data.sources.jpeg_folder import FileDecoder
from lib.errors import DataError, UnavailableError
from lib.packing.listing import read_image
from lib.system.regular_file import read_regular


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "link").symlink_to("a")
    assert read_regular(tmp_path / "a") == read_regular(tmp_path / "link") == b"content"


def test_a_pipe_a_device_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="it is a pipe or a device, not a file"):
            read_regular(path)
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_an_image_that_became_a_pipe_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(UnavailableError, match="a.jpg cannot be read: it is a pipe"):
        FileDecoder(tmp_path, 32, "squash")(b"a.jpg")
    with pytest.raises(DataError, match="a.jpg cannot be read: it is a pipe"):
        read_image(tmp_path, ImageFile("a.jpg", 10))
