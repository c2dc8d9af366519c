"""The index of a split's images: compact arrays in one file, which every process of a run reads alike."""

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, reading


class Index(NamedTuple):
    """The images of one split, in order."""

    names: NDArray[np.bytes_]
    """(N,), by which the source finds each image"""

    labels: NDArray[np.int64]
    """(N,)"""


def index_bytes(index: Index) -> bytes:
    """Return the bytes of an index file."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, names=index.names, labels=index.labels)
    return file.getvalue()


def read_index(path: Path) -> Index:
    """Return the index in a file. Raises DataError if it is missing or damaged."""
    with reading(path, DataError, "delete it and start again"):
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            index = Index(arrays["names"], arrays["labels"])
        if index.names.dtype.kind != "S" or index.labels.dtype != np.int64 or index.names.shape != index.labels.shape:
            raise ValueError("it holds other arrays than names and labels")
    return index


def readable(name: bytes) -> str:
    r"""Return an image's name as one line of text, whatever its bytes are.

    >>> readable("hüte/1.JPEG".encode()), readable(b"\x00\n1"), readable(b"\xff")
    ('hüte/1.JPEG', '\\x00\\n1', '\\xff')
    """
    text = name.decode(errors="backslashreplace")
    return text if text.isprintable() else repr(bytes(name))[2:-1]


def fingerprint(*parts: object) -> str:
    """Return an identifier of ``parts``, whose types must have a complete ``repr``.

    >>> fingerprint("a", 1) == fingerprint("a", 1) != fingerprint("a", 2)
    True
    """
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
