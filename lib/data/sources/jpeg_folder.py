"""``data.source: jpeg_folder``: image files in train/CLASS/ and val/CLASS/, decoded during training."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lib.config.schema import DataConfig
from lib.data.cache import cached, describe_with_mean
from lib.data.class_names import classes_of_folders
from lib.data.dataset import DataSet
from lib.data.images.decode import Resize, decode
from lib.data.images.listing import ImageList, list_images
from lib.data.index import Index, fingerprint, index_bytes, read_index
from lib.data.packed.layout import layout
from lib.data.sources.base import Source, SourceKind, Warn
from lib.data.sources.decoded import DecodedImages
from lib.data.sources.decoders import decoder_advice, open_decoders
from lib.errors import DataError, UnavailableError
from lib.types import SPLITS, Split


@dataclass(frozen=True)
class FileDecoder:
    """Decodes files by their path relative to ``root``."""

    root: Path
    img_size: int
    resize: Resize

    def __call__(self, name: bytes) -> NDArray[np.uint8]:
        path = self.root / os.fsdecode(name)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UnavailableError(
                f"{path} cannot be read: {error.strerror}; check its disk, or put the image back"
            ) from None
        return decode(data, self.img_size, self.resize)

    def close(self) -> None:
        """Do nothing: no file stays open."""


def _describe(data: DataConfig) -> DataSet:
    if not data.dir.is_dir():
        raise DataError(f"data folder {data.dir} does not exist; name one that holds train/ and val/ with --data.dir")
    for split in SPLITS:
        if not (data.dir / split).is_dir():
            raise DataError(f"{data.dir} holds no folder {split}/; its images must be in train/CLASS/ and val/CLASS/")
    found: dict[Split, ImageList] = {split: list_images(data.dir / split) for split in SPLITS}
    for images in found.values():
        if images.passed_over:
            print(images.passed_over, flush=True)
    _check_classes(found)
    listing = {split: [(entry.name, entry.bytes) for entry in found[split].entries] for split in SPLITS}
    content = fingerprint("jpeg_folder", listing, data.img_size, data.resize)
    for split in SPLITS:
        cached(_index_path(data, content, split), partial(_index, found[split]))
    return describe_with_mean(
        data,
        counts={split: len(found[split].entries) for split in SPLITS},
        classes=classes_of_folders(layout(data.dir, data.misc_dir), found["train"].classes),
        fingerprint=content,
        open_split=_open,
    )


def _open(data: DataConfig, described: DataSet, split: Split, warn: Warn) -> Source:
    root = data.dir / split
    decoders = open_decoders(data.decoders, FileDecoder(root, data.img_size, data.resize), data.img_size)
    return DecodedImages(read_index(_index_path(data, described.fingerprint, split)), decoders, str(root), warn)


def _index_path(data: DataConfig, content: str, split: Split) -> Path:
    return layout(data.dir, data.misc_dir).misc / f"{split}_{content}.npz"


def _index(images: ImageList) -> bytes:
    number = {name: index for index, name in enumerate(images.classes)}
    names = np.array([os.fsencode(entry.name) for entry in images.entries])
    labels = np.array([number[entry.name.split("/")[0]] for entry in images.entries], np.int64)
    return index_bytes(Index(names, labels))


def _check_classes(found: dict[Split, ImageList]) -> None:
    """Raise DataError unless both splits have the same class folders."""
    for images in found.values():
        if not images.classes:
            raise DataError(f"{images.root} holds images but no class folders; sort them into one folder a class")
    train, val = found["train"], found["val"]
    for here, there in ((train, val), (val, train)):
        foreign = sorted(set(here.classes) - set(there.classes))
        if foreign:
            raise DataError(
                f"{here.root} has {len(foreign)} class folders that are not in {there.root}: "
                f"{', '.join(foreign[:5])}; both must have the same"
            )


JPEG_FOLDER = SourceKind(describe=_describe, open=_open, speed_advice=decoder_advice)
