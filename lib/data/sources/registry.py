"""The registry of data sources: the values of ``data.source``."""

import difflib

from lib.data.sources.base import SourceKind
from lib.data.sources.cifar import CIFAR10, CIFAR100
from lib.data.sources.hickle_folder import HICKLE
from lib.data.sources.jpeg_folder import JPEG_FOLDER
from lib.data.sources.lmdb_folder import LMDB
from lib.data.sources.mnist import MNIST
from lib.data.sources.synthetic import SYNTHETIC
from lib.errors import ConfigError

SOURCES: dict[str, SourceKind] = {
    "hickle": HICKLE,
    "jpeg_folder": JPEG_FOLDER,
    "lmdb": LMDB,
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
    "mnist": MNIST,
    "synthetic": SYNTHETIC,
}


def source_kind(name: str) -> SourceKind:
    """Return the source of this name. Raises ConfigError for an unknown name, with the known ones."""
    if name in SOURCES:
        return SOURCES[name]
    close = difflib.get_close_matches(name, SOURCES, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise ConfigError(f"data.source is {name}; {hint}known sources: {', '.join(SOURCES)}")
