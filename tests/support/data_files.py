"""Write small data sets in the formats of other programs. The brightest quarter of an image tells its class."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import lmdb
import numpy as np
from PIL import Image

from lib.data.images.datum import Datum

SPLITS = ("train", "val")


def images_of(count: int, n_classes: int = 4, size: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, H, W, 3) that are smooth enough for JPEG, and labels 0, 1, ... in turn."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % n_classes
    images = np.full((count, size, size, 3), 40, np.uint8) + rng.integers(0, 40, (count, 1, 1, 3), dtype=np.uint8)
    half = size // 2
    for image, label in zip(images, labels, strict=True):
        image[half * (label // 2 % 2) :, half * (label % 2) :][:half, :half] += 100
    return images, labels


def write_jpeg_folder(folder: Path, *, train: int = 24, val: int = 8, n_classes: int = 4) -> Path:
    for split, count in zip(SPLITS, (train, val), strict=True):
        for number, (image, label) in enumerate(zip(*images_of(count, n_classes), strict=True)):
            path = folder / split / f"n{label:02d}" / f"{number:03d}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path, "JPEG", quality=95)
    return folder


def write_unsplit_folder(folder: Path, train: int = 24) -> Path:
    """Write class folders that are not split into training and validation."""
    write_jpeg_folder(folder, train=train)
    for path in (folder / "train").iterdir():
        path.rename(folder / path.name)
    shutil.rmtree(folder / "train")
    shutil.rmtree(folder / "val")
    return folder


def datum_of(image: np.ndarray, label: int, encoded: bytes | None = None) -> bytes:
    if encoded is not None:
        return bytes(Datum(data=encoded, label=label, encoded=True).SerializeToString())
    height, width, _ = image.shape
    planes = image[:, :, ::-1].transpose(2, 0, 1)
    datum = Datum(channels=3, height=height, width=width, data=planes.tobytes(), label=label)
    return bytes(datum.SerializeToString())


def write_records(folder: Path, records: list[bytes], keys: list[bytes] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(folder), map_size=1 << 24) as database, database.begin(write=True) as transaction:
        for number, record in enumerate(records):
            transaction.put(keys[number] if keys else b"%08d_n%02d/x.JPEG" % (number, number), record)
    return folder


def write_lmdb(folder: Path, *, train: int = 24, val: int = 8, n_classes: int = 4) -> Path:
    for split, count in zip(SPLITS, (train, val), strict=True):
        images, labels = images_of(count, n_classes)
        records = [datum_of(image, int(label)) for image, label in zip(images, labels, strict=True)]
        write_records(folder / f"ilsvrc12_{split}_lmdb", records)
    return folder


def write_mnist(folder: Path) -> None:
    folder.mkdir()
    images, labels = images_of(20, 10, size=28)
    for prefix, count in (("train", 20), ("t10k", 8)):
        header = np.array([0x803, count, 28, 28], ">u4").tobytes()
        grey = gzip.compress(header + images[:count, :, :, 0].tobytes())
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(grey)
        data = np.array([0x801, count], ">u4").tobytes() + labels[:count].astype(np.uint8).tobytes()
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(data)


def write_cifar10(folder: Path) -> None:
    folder.mkdir()
    images, labels = images_of(20, 10)
    records = np.concatenate([labels[:, None].astype(np.uint8), images.transpose(0, 3, 1, 2).reshape(20, -1)], axis=1)
    for number in range(5):
        (folder / f"data_batch_{number + 1}.bin").write_bytes(records[4 * number : 4 * number + 4].tobytes())
    (folder / "test_batch.bin").write_bytes(records[:8].tobytes())
    (folder / "batches.meta.txt").write_text("".join(f"kind{i}\n" for i in range(10)) + "\n")


def write_cifar100(folder: Path) -> None:
    folder.mkdir()
    images, labels = images_of(20, 100)
    head = np.stack([labels // 5, labels], axis=1).astype(np.uint8)
    records = np.concatenate([head, images.transpose(0, 3, 1, 2).reshape(20, -1)], axis=1)
    (folder / "train.bin").write_bytes(records.tobytes())
    (folder / "test.bin").write_bytes(records[:8].tobytes())
    (folder / "fine_label_names.txt").write_text("".join(f"kind{i}\n" for i in range(100)))


WRITERS: dict[str, Callable[[Path], object]] = {
    "jpeg_folder": write_jpeg_folder,
    "lmdb": write_lmdb,
    "cifar10": write_cifar10,
    "cifar100": write_cifar100,
    "mnist": write_mnist,
}
