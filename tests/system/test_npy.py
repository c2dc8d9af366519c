"""A damaged .npy file gives an array or a ValueError, whatever the damage."""

import io

import numpy as np
import pytest

from lib.system.npy import from_npy_bytes


def content_of(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_a_loaded_array_equals_the_saved_one() -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert np.array_equal(from_npy_bytes(content_of(array)), array)


@pytest.mark.parametrize("byte", [b"(", b"9", b"\0", b"\xff", b"'"])
def test_a_damaged_header_raises_nothing_but_value_error(byte: bytes) -> None:
    content = content_of(np.zeros((3, 2, 2), np.float32))
    messages = set()
    for at in range(128):
        try:
            from_npy_bytes(content[:at] + byte + content[at + 1 :])
        except ValueError as error:
            messages.add(str(error))
    assert messages


@pytest.mark.parametrize("content", [b"", b"PK\3\4" + bytes(40), content_of(np.zeros(9))[:-1]], ids=len)
def test_other_files_are_refused_as_npy(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"EOF|magic string|Failed to read|cannot reshape"):
        from_npy_bytes(content)


def test_a_shape_too_large_for_memory_is_a_value_error() -> None:
    content = content_of(np.zeros((3, 2), np.float32))
    shape = b"(3, 900000000000000), }"
    content = content.replace(b"(3, 2), }".ljust(len(shape)), shape)
    with pytest.raises(ValueError, match="its header is damaged: .*memory|allocate"):
        from_npy_bytes(content)
