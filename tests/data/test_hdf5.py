"""Our reader of HDF5 headers and HDF5's own say the same of what hickle and h5py write."""

import io
import struct
from pathlib import Path
from typing import Any

import h5py
import hickle
import numpy as np
import pytest

from lib.data.packed import hdf5
from lib.data.packed.batch_file import pixel_offset, read_images
from lib.data.packed.hdf5 import Array, Hdf5Error, find_array
from lib.errors import DataError


def found(content: bytes, name: str = "data") -> Array | None:
    def read(address: int, count: int) -> bytes:
        part = content[address : address + count]
        if len(part) < count:
            raise Hdf5Error("short")
        return part

    return find_array(read, name)


def written(libver: Any = None, **datasets: Any) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w", libver=libver) as h5:
        for name, value in datasets.items():
            h5[name] = value
    return file.getvalue()


def as_h5py_says(content: bytes, name: str = "data") -> Array:
    with h5py.File(io.BytesIO(content)) as h5:
        return Array(str(h5[name].dtype), h5[name].shape, h5[name].id.get_offset())


@pytest.mark.parametrize("count", [1, 3, 256])
def test_what_hickle_writes(tmp_path: Path, count: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    path = tmp_path / "00000.hkl"
    hickle.dump(images, path, mode="w")
    content = path.read_bytes()
    assert found(content) == as_h5py_says(content)
    offset = pixel_offset(path, images.shape)
    assert content[offset : offset + images.nbytes] == images.tobytes()
    assert np.array_equal(read_images(path), images)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int64", "float32", "float64"])
def test_each_type_and_among_many_names(dtype: str) -> None:
    content = written(**{f"a{i}": np.zeros(i + 1) for i in range(40)}, data=np.ones((3, 5), dtype), zz=np.zeros(2))
    for name in ("data", "a0", "a17", "zz"):
        assert found(content, name) == as_h5py_says(content, name)
    assert found(content, "nothing") is None


def test_headers_that_go_on_elsewhere() -> None:
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5["data"] = np.zeros((2, 3, 3, 3), np.uint8)
        for i in range(30):
            h5["data"].attrs[f"attribute {i}"] = "x" * 50
    assert found(file.getvalue()) == as_h5py_says(file.getvalue())


def test_numbers_that_are_not_in_one_piece_have_no_place() -> None:
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5.create_dataset("data", data=np.zeros((4, 4), np.uint8), chunks=(2, 2), compression="gzip")
        h5.create_group("group")
        h5["text"] = "text"
    assert found(file.getvalue()) == Array("uint8", (4, 4), None)
    assert found(file.getvalue(), "group") is None
    text = found(file.getvalue(), "text")
    assert text
    assert text.dtype.startswith("kind ")


@pytest.mark.parametrize("libver", ["v108", "latest"])
def test_other_forms_of_hdf5_are_errors(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "00000.hkl"
    path.write_bytes(written(libver, data=np.zeros((2, 8, 8, 3), np.uint8)))
    with pytest.raises(
        DataError, match=f"{path} is not a readable HDF5 file .it has another form than hickle's.; delete"
    ):
        pixel_offset(path, (2, 8, 8, 3))


def test_pixels_kept_in_another_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "00000.hkl"
    with h5py.File(path, "w") as h5:
        h5.create_dataset("data", (2, 8, 8, 3), np.uint8, external=[("/etc/passwd", 0, 384)])
    with pytest.raises(DataError, match="rows can be read only from plain files"):
        pixel_offset(path, (2, 8, 8, 3))


def test_a_header_that_leads_in_circles_has_an_end() -> None:
    """256 messages, it says; and the only one there says that it goes on with itself."""
    header = struct.pack("<BxHIII", 1, 256, 1, 24, 0) + struct.pack("<HHIQQ", 16, 16, 0, 16, 24)
    assert len(list(hdf5._messages(lambda address, count: header[address : address + count], 0))) == 256


@pytest.mark.parametrize("patch", [b"\0\0", b"\xff\xff", b"\x08\x00"])
def test_damage_anywhere_is_an_answer_or_an_error_of_ours(patch: bytes) -> None:
    content = written(data=np.zeros((2, 3), np.uint8), more=np.zeros(2))
    answers: list[object] = []
    for at in range(0, len(content) - 1, 2):
        try:
            answers.append(found(content[:at] + patch + content[at + 2 :]))
        except Hdf5Error as error:
            answers.append(error)
    assert {type(answer) for answer in answers} >= {Array, Hdf5Error}  # numbers changed; structure changed
    assert {type(answer) for answer in answers} <= {Array, Hdf5Error, type(None)}
