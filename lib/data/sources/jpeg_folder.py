"""``data.source: jpeg_folder``: image files in class folders (see ``class_folders``), decoded during training."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...config.schema import DataConfig
from ...errors import UnavailableError
from ...system.regular_file import read_regular
from ...system.terminal import print_stdout
from ...types import SPLITS, Split
from ..cache import cached, describe_with_mean
from ..cache_choice import choose_disk_or_memory
from ..class_names import classes_of_folders
from ..dataset import DataSet
from ..disk_cache import Stamp
from ..images.decode import Resize, decode
from ..index import Index, fingerprint, index_bytes, read_index
from ..packed.layout import layout
from .base import Source, SourceKind, Warn
from .cached_images import open_decoded
from .class_folders import find_labeled_images, find_validation_images, split_places
from .decoders import decoder_advice
from .equal_files import warn_of_equal_files
from .labeled_images import LabeledImage, LabeledImages
from .validation_classes import match_validation


@dataclass(frozen=True)
class FileDecoder:
    """Decodes files by their path relative to ``root``."""

    root: Path
    img_size: int
    resize: Resize

    def __call__(self, name: bytes) -> NDArray[np.uint8]:
        with self._readable(name):
            data = read_regular(self.root / os.fsdecode(name))
        return decode(data, self.img_size, self.resize)

    def stamp(self, name: bytes) -> Stamp:
        """Return size and time of the file."""
        with self._readable(name):
            found = os.stat(os.path.join(os.fsencode(self.root), name))  # noqa: PTH116, PTH118 (five times as fast)
        return found.st_size, found.st_mtime_ns

    def close(self) -> None:
        """Do nothing: no file stays open."""

    @contextlib.contextmanager
    def _readable(self, name: bytes) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            path = self.root / os.fsdecode(name)
            raise UnavailableError(
                f"{path} cannot be read: {error.strerror}; check its disk, or put the image back"
            ) from None


def _describe(data: DataConfig) -> DataSet:
    found = find_labeled_images(data)
    classes = found["train"].classes
    content = _fingerprint(data, {split: found[split] for split in SPLITS})
    places = split_places(data.dir)
    if places["train"] != places["val"] and not _index_path(data, content, "val").exists():
        warn_of_equal_files(found["train"], found["val"])
    _write_indices(data, content, found, classes)
    return describe_with_mean(
        data,
        counts={split: len(found[split].images) for split in SPLITS},
        classes=classes_of_folders(layout(data.dir, data.misc_dir), classes),
        fingerprint=content,
        version=sum(image.modified_ns for image in found["train"].images),
        open_split=_open,
    )


def _describe_val(data: DataConfig, classes: Sequence[str]) -> DataSet:
    val = match_validation(find_validation_images(data, classes), classes, "the network")
    content = _fingerprint(data, {"val": val}, *classes)
    _write_indices(data, content, {"train": LabeledImages(val.root, []), "val": val}, classes)
    return DataSet(
        where=str(data.dir),
        img_size=data.img_size,
        resize=data.resize,
        train_counts=(0,),
        val_counts=(len(val.images),),
        classes=classes_of_folders(layout(data.dir, data.misc_dir), classes),
        fingerprint=content,
    )


def _write_indices(
    data: DataConfig, content: str, found: Mapping[Split, LabeledImages], classes: Sequence[str]
) -> None:
    for passed_over in dict.fromkeys(images.passed_over for images in found.values() if images.passed_over):
        print_stdout(passed_over)
    for split, images in found.items():
        cached(_index_path(data, content, split), partial(_index, images, classes, data.dir))


def _fingerprint(data: DataConfig, found: Mapping[Split, LabeledImages], *more: str) -> str:
    listing = {split: [_identity(image) for image in images.images] for split, images in found.items()}
    return fingerprint("jpeg_folder", listing, data.img_size, data.resize, *more)


def _open(data: DataConfig, described: DataSet, split: Split, warn: Warn) -> Source:
    index = read_index(_index_path(data, described.fingerprint, split))
    return open_decoded(data, split, index, FileDecoder(data.dir, data.img_size, data.resize), str(data.dir), warn)


def _identity(image: LabeledImage) -> tuple[str | int, ...]:
    """Return what identifies an image: its name and size, and its class unless that is its folder."""
    return image[:2] if image.name.startswith(f"{image.label}/") else image[:3]


def _index_path(data: DataConfig, content: str, split: Split) -> Path:
    return layout(data.dir, data.misc_dir).misc / f"{split}_images_{content}.npz"


def _index(found: LabeledImages, classes: Sequence[str], start: Path) -> bytes:
    """Return the index of the images, with names relative to the folder ``start`` of the data set."""
    number = {name: index for index, name in enumerate(classes)}
    root = found.root.relative_to(start)
    names = np.array([os.fsencode(root / image.name) for image in found.images], np.bytes_)
    labels = np.array([number[image.label] for image in found.images], np.int64)
    return index_bytes(Index(names, labels))


JPEG_FOLDER = SourceKind(
    describe=_describe,
    open=_open,
    describe_val=_describe_val,
    choose_cache=choose_disk_or_memory,
    resized_by="decoders",
    speed_advice=decoder_advice,
)
