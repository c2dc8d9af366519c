"""Where in an HDF5 file the numbers of a dataset begin: for the one form in which hickle writes arrays, and no other.

HDF5's own library knows many forms, in much C code, and crafted files have found holes in it again and again. A batch
file needs none of that: a root group of a few names, and a dataset whose numbers lie in one piece. Everything else is
an error here. Source: HDF5 File Format Specification, version 3.0 (superblock 0, object headers 1).
"""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

Read = Callable[[int, int], bytes]
"""``read(address, count)``: exactly so many bytes of the file. Raises Hdf5Error where it is shorter."""

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# All versions 0, addresses and lengths of eight bytes.
_FORM = bytes([0, 0, 0, 0, 0, 8, 8, 0])
_DATASPACE, _DATATYPE, _EXTERNAL, _LAYOUT, _CONTINUATION = 1, 3, 7, 8, 16
_CONTIGUOUS = 1
_SHARED = 2
# More entries or messages than hickle ever writes, and few enough to be read at once.
_MOST = 256


class Hdf5Error(ValueError):
    """The file is not HDF5, or not of this form."""


class Array(NamedTuple):
    """A dataset: its type by NumPy's name, and where its numbers begin; None where they are not in one piece."""

    dtype: str
    shape: tuple[int, ...]
    offset: int | None


def find_array(read: Read, name: str) -> Array | None:
    """The dataset ``name`` of the root group, or None where there is none. Raises Hdf5Error."""
    try:
        for link, header in _links(read):
            if link == name:
                return _array(dict(_messages(read, header)))
    except struct.error as error:
        raise Hdf5Error(f"a part of it is too short: {error}") from None
    return None


def _links(read: Read) -> Iterator[tuple[str, int]]:
    """(name, address of its object header) of everything in the root group."""
    start = read(0, 96)
    if not start.startswith(_SIGNATURE):
        raise Hdf5Error("it does not begin as one")
    (base,), (cached,) = struct.unpack_from("<Q", start, 24), struct.unpack_from("<I", start, 72)
    if start[8:16] != _FORM or base or cached != 1:
        raise Hdf5Error("it has another form than hickle's")
    tree, heap = struct.unpack_from("<QQ", start, 80)
    signature, kind, level, used = struct.unpack("<4sBBH", read(tree, 8))
    if (signature, kind, level) != (b"TREE", 0, 0) or used > _MOST:
        raise Hdf5Error("its root group has another form than hickle's")
    names = _names(read, heap)
    for number in range(used):
        (leaf,) = struct.unpack("<Q", read(tree + 32 + 16 * number, 8))
        signature, version, _, count = struct.unpack("<4sBBH", read(leaf, 8))
        if (signature, version) != (b"SNOD", 1) or count > _MOST:
            raise Hdf5Error("its root group is damaged")
        entries = read(leaf + 8, 40 * count)
        for at in range(0, len(entries), 40):
            place, header = struct.unpack_from("<QQ", entries, at)
            yield names[place : names.find(b"\0", place)].decode("utf-8", "replace"), header


def _names(read: Read, heap: int) -> bytes:
    signature, version, size, _, place = struct.unpack("<4sB3xQQQ", read(heap, 32))
    if (signature, version) != (b"HEAP", 0) or size > 1 << 16:
        raise Hdf5Error("its names are damaged")
    return read(place, size)


def _messages(read: Read, header: int) -> Iterator[tuple[int, bytes]]:
    """(kind, content) of everything that an object header says."""
    version, left, size = struct.unpack("<BxH4xI", read(header, 12))
    if version != 1 or left > _MOST:
        raise Hdf5Error("a header has another form than hickle's")
    blocks = [(header + 16, size)]
    while blocks and left:
        start, length = blocks.pop()
        if length > 1 << 16:
            raise Hdf5Error("a header is too long")
        block, at = read(start, length), 0
        while at + 8 <= length and left:
            kind, size, flags = struct.unpack_from("<HHB", block, at)
            content = block[at + 8 : at + 8 + size]
            if kind == _CONTINUATION:
                blocks.append(struct.unpack_from("<QQ", content))
            elif flags & _SHARED and kind in (_DATASPACE, _DATATYPE, _LAYOUT):
                raise Hdf5Error("a header leads elsewhere")
            yield kind, content
            at, left = at + 8 + size, left - 1


def _array(said: dict[int, bytes]) -> Array | None:
    if not {_DATASPACE, _DATATYPE, _LAYOUT} <= said.keys():
        return None  # a group
    version, rank = struct.unpack_from("<BB", said[_DATASPACE])
    if version not in (1, 2) or rank > 32:
        raise Hdf5Error("the shape of its numbers is damaged")
    shape = struct.unpack_from(f"<{rank}Q", said[_DATASPACE], 8 if version == 1 else 4)
    version, kind = struct.unpack_from("<BB", said[_LAYOUT])
    if version not in (3, 4) or kind != _CONTIGUOUS or _EXTERNAL in said:
        return Array(_dtype(said[_DATATYPE]), shape, None)
    (offset,) = struct.unpack_from("<Q", said[_LAYOUT], 2)
    return Array(_dtype(said[_DATATYPE]), shape, offset)


def _dtype(content: bytes) -> str:
    """NumPy's name of integers and floating point numbers, something else of all others."""
    kind, bits, size = struct.unpack_from("<BB2xI", content)
    signed = bits & 8
    name = {0: "int" if signed else "uint", 1: "float"}.get(kind & 15, f"kind {kind & 15} of ")
    return f"{name}{8 * size}"
