"""Write a small data set in the real layout on disk."""

import zlib
from pathlib import Path

import hickle
import msgspec
import numpy as np

from lib.data.dataset import ClassName
from lib.data.packed.layout import Layout, layout
from lib.data.packed.manifest import BatchFile, Manifest, SplitManifest
from lib.packing.offsets import locate_pixels
from lib.types import Split

IMG_SIZE = 32


def write_data_set(
    folder: Path,
    *,
    train: int = 48,
    val: int = 20,
    file_batch_size: int = 16,
    img_size: int = IMG_SIZE,
    n_classes: int = 4,
    seed: int = 0,
) -> Layout:
    """Write a complete data set. The brightest quarter of an image tells its class."""
    at = layout(folder)
    rng = np.random.default_rng(seed)
    splits: dict[Split, SplitManifest] = {}
    names: tuple[tuple[Split, int], ...] = (("train", train), ("val", val))
    for split, count in names:
        labels = rng.integers(0, n_classes, count)
        images = rng.integers(0, 120, (count, img_size, img_size, 3), dtype=np.uint8)
        half = img_size // 2
        for image, label in zip(images, labels, strict=True):
            image[half * (label // 2 % 2) :, half * (label % 2) :][:half, :half] += 100
        if split == "train":
            at.misc.mkdir(parents=True)
            np.save(at.mean, images.mean(0).transpose(2, 0, 1).astype(np.float32))
        splits[split] = _write_split(at, split, images, labels, file_batch_size)
    at.classes.write_bytes(msgspec.json.encode([ClassName(i, f"n{i:08d}", f"class {i}") for i in range(n_classes)]))
    manifest = Manifest(
        img_size=img_size,
        file_batch_size=file_batch_size,
        resize="squash",
        seed=1,
        n_classes=n_classes,
        source_fingerprint=f"test {seed}",
        mean_crc32=zlib.crc32(at.mean.read_bytes()),
        skipped=0,
        train=splits["train"],
        val=splits["val"],
    )
    at.manifest.write_bytes(msgspec.json.encode(manifest.with_checksum()))
    return at


def _write_split(
    at: Layout, split: Split, images: np.ndarray, labels: np.ndarray, file_batch_size: int
) -> SplitManifest:
    at.batch_dir(split, file_batch_size).mkdir(parents=True)
    files = []
    for number, start in enumerate(range(0, len(images), file_batch_size)):
        path = at.batch_file(split, file_batch_size, number)
        part = images[start : start + file_batch_size]
        hickle.dump(part, path, mode="w")
        content = path.read_bytes()
        offset, header_crc32 = locate_pixels(path, part.shape)
        files.append(
            BatchFile(
                name=path.name,
                count=len(part),
                bytes=len(content),
                crc32=zlib.crc32(content),
                source_start=start,
                source_stop=start + len(part),
                offset=offset,
                header_crc32=header_crc32,
            )
        )
    at.labels(split).parent.mkdir(exist_ok=True)
    np.save(at.labels(split), labels.astype(np.int64))
    return SplitManifest(files=tuple(files), labels_crc32=zlib.crc32(at.labels(split).read_bytes()))
