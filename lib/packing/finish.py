"""Write what follows the batch files: lists, mean image, and at the end the manifest."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..data.packed.layout import Layout
from ..data.packed.manifest import Manifest, SplitManifest
from ..errors import DataError
from ..system.npy import to_npy_bytes
from ..types import SPLITS, Split
from .files import write_file, write_manifest
from .packed_files import PackedSplit
from .sources import Sources


def write_lists(at: Layout, sources: Sources, packed: Mapping[Split, PackedSplit]) -> None:
    """Write the names of the packed images in their order, and of the skipped ones.

    Raises DataError if a split has no image, or not as many images as names.
    """
    for split in SPLITS:
        skipped_names = {one.name for one in packed[split].skipped}
        names = [entry.name for entry in sources.split(split).entries if entry.name not in skipped_names]
        if not names:
            raise DataError(f"none of the {split} images in {sources.split(split).root} can be decoded")
        if len(names) != packed[split].count:
            raise DataError(
                f"{at.dir}: {packed[split].count} {split} images from {len(names)} files; "
                f"delete {at.dir} to make all of it again"
            )
        write_file(at.filenames(split), to_npy_bytes(np.array(names)))
    skipped = [one for split in SPLITS for one in packed[split].skipped]
    write_file(at.skipped, "".join(f"{s.split}\t{s.name}\t{s.reason}\n" for s in skipped).encode())


def write_mean(at: Layout, total_HWC: NDArray[np.int64], count: int) -> int:
    """Write the mean image, float32 (3, H, W), of ``count`` images with this sum. Returns the CRC-32 of the file."""
    mean_CHW = (total_HWC / count).astype(np.float32).transpose(2, 0, 1)
    return write_file(at.mean, to_npy_bytes(np.ascontiguousarray(mean_CHW)))


def write_first_manifest(at: Layout, sources: Sources, packed: Mapping[Split, PackedSplit], mean_crc32: int) -> None:
    """Write the manifest of a complete data set without labels."""
    recipe = sources.recipe
    manifest = Manifest(
        img_size=recipe.img_size,
        file_batch_size=recipe.file_batch_size,
        resize=recipe.resize,
        seed=recipe.seed,
        n_classes=len(recipe.classes),
        source_fingerprint=sources.fingerprint,
        mean_crc32=mean_crc32,
        skipped=sum(len(packed[split].skipped) for split in SPLITS),
        train=SplitManifest(files=tuple(packed["train"].files)),
        val=SplitManifest(files=tuple(packed["val"].files)),
    )
    write_manifest(at, manifest)
