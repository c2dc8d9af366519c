"""``data.source: lmdb``: Caffe's databases of ``Datum`` records, one folder a split.

    DIR/ilsvrc12_train_lmdb/data.mdb       or any other folder whose name contains "train"
    DIR/ilsvrc12_val_lmdb/data.mdb         or "val"

On first use every record is read once, to check that it is an image and to index its label.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import lmdb
import numpy as np
from numpy.typing import NDArray

from ...config.schema import DataConfig
from ...errors import DataError, UnavailableError, reading
from ...system.terminal import print_stdout
from ...types import SPLITS, Split
from ..cache import cached, describe_with_mean
from ..cache_choice import choose_disk_or_memory
from ..class_names import classes_of_numbers
from ..dataset import DataSet, check_labels, warn_of_empty_classes
from ..disk_cache import Stamp
from ..images.datum import datum_image, read_datum
from ..images.decode import Resize
from ..index import Index, fingerprint, index_bytes, read_index, readable
from ..packed.layout import layout
from .base import Source, SourceKind, Warn
from .cached_images import open_decoded
from .decoders import decoder_advice

_FIX = "make the database again with Caffe's convert_imageset"


@dataclass(frozen=True)
class RecordDecoder:
    """Decodes records of the database in ``folder`` by their keys."""

    folder: Path
    img_size: int
    resize: Resize

    def __call__(self, name: bytes) -> NDArray[np.uint8]:
        try:
            record = self._record(name)
        except UnavailableError:
            self.close()  # the next attempt opens whatever database is there then
            raise
        return datum_image(record, self.img_size, self.resize)

    def stamp(self, name: bytes) -> Stamp:
        """Return size and time of the database: one that has changed may hold other images."""
        with _translated_errors(self.folder):
            found = (self.folder / "data.mdb").stat()
        return found.st_size, found.st_mtime_ns

    def close(self) -> None:
        """Close the database, which a process may open only once at a time."""
        opened = vars(self)
        if "_transaction" in opened:
            opened.pop("_transaction").abort()
        if "_database" in opened:
            opened.pop("_database").close()

    def _record(self, name: bytes) -> bytes:
        with _translated_errors(self.folder):
            record = self._transaction.get(name)
        if record is None:
            raise UnavailableError(
                f"{self.folder}: record {readable(name)} is missing; put the database back, or {_FIX}"
            )
        return bytes(record)

    @cached_property
    def _database(self) -> lmdb.Environment:
        return _open_database(self.folder)

    @cached_property
    def _transaction(self) -> lmdb.Transaction:
        return self._database.begin()


def _describe(data: DataConfig) -> DataSet:
    folders = {split: _folder(data.dir, split) for split in SPLITS}
    versions = {split: _version(folder) for split, folder in folders.items()}
    indices = {}
    for split, folder in folders.items():
        path = _index_path(data, versions[split], split)
        indices[split] = read_index(cached(path, partial(_scan, folder)))
    n_classes = int(indices["train"].labels.max()) + 1
    for split in SPLITS:
        check_labels(indices[split].labels, n_classes, str(folders[split]))
    classes = classes_of_numbers(layout(data.dir, data.misc_dir), n_classes)
    warn_of_empty_classes(indices["train"].labels, n_classes, str(folders["train"]))
    content = fingerprint("lmdb", versions, data.img_size, data.resize)
    return describe_with_mean(
        data,
        counts={split: len(indices[split].labels) for split in SPLITS},
        classes=classes,
        fingerprint=content,
        open_split=_open,
    )


def _open(data: DataConfig, described: DataSet, split: Split, warn: Warn) -> Source:
    folder = _folder(data.dir, split)
    index = read_index(_index_path(data, _version(folder), split))
    return open_decoded(data, split, index, RecordDecoder(folder, data.img_size, data.resize), str(folder), warn)


def _folder(dir: Path, split: Split) -> Path:
    found = sorted(path.parent for path in dir.glob(f"*{split}*/data.mdb"))
    if len(found) != 1:
        raise DataError(
            f"{dir} holds {len(found)} folders *{split}* with a data.mdb, where one should be; "
            f"name a folder that holds e.g. ilsvrc12_{split}_lmdb/ with --data.dir"
        )
    return found[0]


def _version(folder: Path) -> str:
    """Return a fingerprint of the database as it is now, without reading all of it."""
    with _reading(folder) as (database, cursor):
        ends = [b"".join(cursor.item()) for found in (cursor.first(), cursor.last()) if found]
        size = (folder / "data.mdb").stat().st_size
        return fingerprint(size, database.stat()["entries"], database.info()["last_txnid"], ends)


def _scan(folder: Path) -> bytes:
    """Return the index of all records. Raises DataError with the first record that is not an image."""
    names, labels = [], []
    print_stdout(f"reading all of {folder}, once ...")
    with _reading(folder) as (_, cursor):
        for key, record in cursor:
            names.append(bytes(key))
            try:
                labels.append(_label(names[-1], bytes(record)))
            except DataError as error:
                raise DataError(f"{folder}: record {readable(names[-1])}: {error}; {_FIX}") from None
    if not names:
        raise DataError(f"{folder} holds no record; make it with Caffe's convert_imageset")
    return index_bytes(Index(np.array(names), np.array(labels, np.int64)))


def _label(key: bytes, record: bytes) -> int:
    if key.endswith(b"\0"):
        raise DataError("its key ends in a zero byte, which NumPy's arrays of names cannot hold")
    label: int = read_datum(record).label
    return label


@contextmanager
def _reading(folder: Path) -> Iterator[tuple[lmdb.Environment, lmdb.Cursor]]:
    """Open the database and a cursor at its start. Raises UnavailableError."""
    database = _open_database(folder)
    try:
        with _translated_errors(folder), database.begin() as transaction, transaction.cursor() as cursor:
            yield database, cursor
    finally:
        database.close()


def _open_database(folder: Path) -> lmdb.Environment:
    """Open the database. Raises UnavailableError, also if the file is truncated.

    LMDB maps the file: reading a page beyond its end would kill the process.
    """
    with _translated_errors(folder):
        size = (folder / "data.mdb").stat().st_size
        database = lmdb.open(str(folder), readonly=True, lock=False, readahead=False)
    used = (database.info()["last_pgno"] + 1) * database.stat()["psize"]
    if size < used:
        database.close()
        raise UnavailableError(f"{folder}/data.mdb is truncated: it has {size:,} of {used:,} bytes; copy it again")
    return database


def _translated_errors(folder: Path) -> AbstractContextManager[None]:
    """Raise errors of LMDB as UnavailableError."""
    return reading(folder / "data.mdb", UnavailableError, f"copy it again, or {_FIX}")


def _index_path(data: DataConfig, version: str, split: Split) -> Path:
    return layout(data.dir, data.misc_dir).misc / f"{split}_{version}.npz"


LMDB = SourceKind(
    describe=_describe,
    open=_open,
    choose_cache=choose_disk_or_memory,
    resized_by="decoders",
    speed_advice=decoder_advice,
)
