"""Check a packed data set before any process starts, so that a problem is reported in one line."""

import os

from ...errors import DataError
from ...types import SPLITS, Split
from .batch_file import open_batch_file
from .layout import Layout
from .manifest import Manifest
from .metadata import read_classes, read_labels, read_mean


def check_data(at: Layout, manifest: Manifest) -> None:
    """Check that every file in ``manifest`` exists, is the one that was packed, and has its labels.

    Raises DataError with the first file that is not. Reads headers, not pixels.
    """
    for split in SPLITS:
        if manifest.split(split).count == 0:
            raise DataError(f"{at.manifest}: there are no {split} images")
    if not manifest.has_offsets:
        misc = "" if at.misc == at.dir / "misc" else f" --misc_dir {at.misc}"
        raise DataError(
            f"{at.manifest} does not record where the pixels begin in each file, as an older version packed this data "
            f"set; run python -m preprocessing.add_offsets {at.dir}{misc} once"
        )
    for split in SPLITS:
        _check_files(at, manifest, split)
        read_labels(at, manifest, split)
    read_mean(at, manifest)
    n_classes = len(read_classes(at))
    if n_classes != manifest.n_classes:
        raise DataError(f"{at.classes} has {n_classes} classes, the manifest {manifest.n_classes}")


def _check_files(at: Layout, manifest: Manifest, split: Split) -> None:
    folder, files = at.batch_dir(split, manifest.file_batch_size), manifest.split(split).files
    missing = [file.name for file in files if not (folder / file.name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(files)} files are missing from {folder}, the first is {missing[0]}; "
            "run preprocessing/generate_data.sh to make them again"
        )
    for file in files:
        end = file.offset + file.count * manifest.img_size**2 * 3
        if not 0 < file.offset < end <= file.bytes:
            raise DataError(
                f"{at.manifest} is wrong: the images of {file.name} would be bytes {file.offset:,} to {end:,} of "
                f"{file.bytes:,}"
            )
        os.close(open_batch_file(folder / file.name, file))
