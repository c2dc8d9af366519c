"""What is written once all batch files are there: lists, mean image, and last the manifest."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lib.data.packed.layout import Layout, Manifest, SplitManifest
from lib.errors import DataError
from lib.system.npy import bytes_of
from lib.types import SPLITS, Split
from preprocessing.files import write_file, write_manifest
from preprocessing.made import SplitState
from preprocessing.sources import Sources


def write_lists(at: Layout, sources: Sources, made: Mapping[Split, SplitState]) -> None:
    """The names of the packed pictures in their order, and of those left out.

    Raises DataError when names and images do not come out equal, or a split has no image.
    """
    for split in SPLITS:
        left_out = {one.name for one in made[split].skipped}
        names = [entry.name for entry in sources.split(split).entries if entry.name not in left_out]
        if not names:
            raise DataError(f"not one of the {split} pictures in {sources.split(split).root} can be decoded")
        if len(names) != made[split].count:
            raise DataError(
                f"{at.dir}: {made[split].count} {split} images from {len(names)} pictures; "
                f"delete {at.dir} to make all of it anew"
            )
        write_file(at.filenames(split), bytes_of(np.array(names)))
    skipped = [one for split in SPLITS for one in made[split].skipped]
    write_file(at.skipped, "".join(f"{s.split}\t{s.name}\t{s.reason}\n" for s in skipped).encode())


def write_mean(at: Layout, total_HWC: NDArray[np.int64], count: int) -> int:
    """Write the mean image, float32 (3, H, W), of ``count`` images with this sum. Returns its crc32."""
    mean_CHW = (total_HWC / count).astype(np.float32).transpose(2, 0, 1)
    return write_file(at.mean, bytes_of(np.ascontiguousarray(mean_CHW)))


def write_first_manifest(at: Layout, sources: Sources, made: Mapping[Split, SplitState], mean_crc32: int) -> None:
    """Say that the data set is whole; the labels are still to come."""
    recipe = sources.recipe
    manifest = Manifest(
        img_size=recipe.img_size,
        file_batch_size=recipe.file_batch_size,
        resize=recipe.resize,
        seed=recipe.seed,
        n_classes=len(recipe.classes),
        source_fingerprint=sources.fingerprint,
        mean_crc32=mean_crc32,
        skipped=sum(len(made[split].skipped) for split in SPLITS),
        train=SplitManifest(files=tuple(made["train"].files)),
        val=SplitManifest(files=tuple(made["val"].files)),
    )
    write_manifest(at, manifest)
