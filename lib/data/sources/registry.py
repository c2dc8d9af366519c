"""The registry of data sources: the values of ``data.source``."""

import difflib

from ...config.schema import DataConfig
from ...errors import ConfigError
from .base import SourceKind
from .cifar import CIFAR10, CIFAR100
from .hickle_folder import HICKLE
from .jpeg_folder import JPEG_FOLDER
from .lmdb_folder import LMDB
from .mnist import MNIST
from .recognise import recognise
from .synthetic import SYNTHETIC

AUTO = "auto"

SOURCES: dict[str, SourceKind] = {
    "hickle": HICKLE,
    "jpeg_folder": JPEG_FOLDER,
    "lmdb": LMDB,
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
    "mnist": MNIST,
    "synthetic": SYNTHETIC,
}


def source_name(data: DataConfig) -> str:
    """Return ``data.source``, or what auto recognises in ``data.dir``. Raises DataError if that is nothing."""
    return recognise(data) if data.source == AUTO else data.source


def source_kind(data: DataConfig) -> SourceKind:
    """Return the source of this data set. Raises ConfigError for an unknown name, with the known ones."""
    name = source_name(data)
    if name in SOURCES:
        return SOURCES[name]
    known = (AUTO, *SOURCES)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise ConfigError(f"data.source is {name}; {hint}known sources: {', '.join(known)}")
