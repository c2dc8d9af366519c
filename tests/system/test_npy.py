"""A damaged .npy file is an array or a ValueError, whatever is wrong with it."""

import io

import numpy as np
import pytest

from lib.system.npy import array_of


def content_of(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_a_loaded_array_equals_the_saved_one() -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert np.array_equal(array_of(content_of(array)), array)


@pytest.mark.parametrize("byte", [b"(", b"9", b"\0", b"\xff", b"'"])
def test_damage_anywhere_in_the_header(byte: bytes) -> None:
    content = content_of(np.zeros((3, 2, 2), np.float32))
    said = set()
    for at in range(128):
        try:
            array_of(content[:at] + byte + content[at + 1 :])
        except ValueError as error:
            said.add(str(error))
    assert said


@pytest.mark.parametrize("content", [b"", b"PK\3\4" + bytes(40), content_of(np.zeros(9))[:-1]], ids=len)
def test_other_files_are_refused_as_npy(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"EOF|magic string|Failed to read|cannot reshape"):
        array_of(content)


def test_more_numbers_than_any_memory_holds() -> None:
    content = content_of(np.zeros((3, 2), np.float32))
    shape = b"(3, 900000000000000), }"
    content = content.replace(b"(3, 2), }".ljust(len(shape)), shape)
    with pytest.raises(ValueError, match="its header is damaged: .*memory|allocate"):
        array_of(content)
