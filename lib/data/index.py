"""The list of a split's pictures, as compact arrays in one file that every process of a run reads alike."""

import hashlib
import io
import tokenize
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lib.errors import DataError

# What NumPy and zipfile have to say of it.
_DAMAGE = (OSError, ValueError, EOFError, KeyError, NotImplementedError, tokenize.TokenError, zipfile.BadZipFile)


class Index(NamedTuple):
    """The pictures of one split, in order."""

    names: NDArray[np.bytes_]
    """(N,), under which the source finds each"""

    labels: NDArray[np.int64]
    """(N,)"""


def index_bytes(index: Index) -> bytes:
    """The bytes of an index file."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, names=index.names, labels=index.labels)
    return file.getvalue()


def read_index(path: Path) -> Index:
    """Raises DataError when the file is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            index = Index(arrays["names"], arrays["labels"])
        if index.names.dtype.kind != "S" or index.labels.dtype != np.int64 or index.names.shape != index.labels.shape:
            raise ValueError("it holds other arrays than names and labels")
    except _DAMAGE as error:
        raise DataError(f"{path} is missing or damaged ({error}); delete it and start again") from None
    return index


def readable(name: bytes) -> str:
    r"""A picture's name in one line of text, whatever its bytes are.

    >>> readable("hüte/1.JPEG".encode()), readable(b"\x00\n1"), readable(b"\xff")
    ('hüte/1.JPEG', '\\x00\\n1', '\\xff')
    """
    text = name.decode(errors="backslashreplace")
    return text if text.isprintable() else repr(bytes(name))[2:-1]


def fingerprint(*parts: object) -> str:
    """Names what ``parts``, of types whose ``repr`` says all, hold.

    >>> fingerprint("a", 1) == fingerprint("a", 1) != fingerprint("a", 2)
    True
    """
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
