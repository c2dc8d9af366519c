"""Whatever a file holds, its reader returns something or raises one of our errors, which names the file."""

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import h5py
import msgspec
import numpy as np
import pytest
import scipy.io

from lib.config.schema import DataConfig
from lib.data.class_names import read_words
from lib.data.dataset import ClassName, DataSet, read_mean_image
from lib.data.index import Index, index_bytes, read_index
from lib.data.packed.layout import layout
from lib.data.packed.manifest import read_manifest
from lib.data.packed.metadata import read_classes
from lib.data.sources.array_dataset import read_names
from lib.data.sources.mnist import MNIST
from lib.data.sources.theano import files, read_labels
from lib.errors import DataError
from lib.packing.devkit import read_ground_truth, read_synsets
from lib.packing.journal import Journal
from lib.packing.make_train_val_txt import read_filenames
from lib.packing.offsets import locate_pixels
from lib.packing.packed_files import find_packed
from lib.packing.sources import PackingRecipe, read_recipe
from lib.packing.tar_index import tar_index
from tests.support.data_files import write_mnist
from tests.support.data_sets import write_data_set

Reader = Callable[[Path], object]


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def hdf5() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        opened["data"] = np.zeros((3, 8, 8, 3), np.uint8)
    return file.getvalue()


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as opened:
        opened.addfile(tarfile.TarInfo("a/ü.jpg"))
    return file.getvalue()


def mat() -> bytes:
    synsets = np.zeros(2, [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O")])
    synsets[:] = [(1, "n01", "tench"), (2, "n02", "shark")]
    file = io.BytesIO()
    scipy.io.savemat(file, {"synsets": synsets})
    return file.getvalue()


def manifest(folder: Path) -> bytes:
    at = write_data_set(folder, train=4, val=4)
    return msgspec.json.encode(msgspec.structs.replace(read_manifest(at), crc32=msgspec.UNSET))


def a_data_set(path: Path) -> DataSet:
    return DataSet(where="", img_size=2, train_counts=(), val_counts=(), classes=(), fingerprint="", mean_image=path)


def mnist_labels(path: Path) -> object:
    other = path.parent.with_name("mnist")
    if not other.exists():
        write_mnist(other)
    for file in other.iterdir():
        if file.name != path.name and not path.with_name(file.name).exists():
            path.with_name(file.name).write_bytes(file.read_bytes())
    path.with_name("train-labels-idx1-ubyte").unlink(missing_ok=True)
    return MNIST.describe(DataConfig(source="mnist", dir=path.parent, img_size=8))


def theano_labels(path: Path) -> object:
    at = layout(path.parent.parent)
    folder = at.dir / "train_hkl_b16_b_16"
    folder.mkdir(exist_ok=True)
    (folder / "0000.hkl").write_bytes(b"")
    return read_labels(at, "train", (16,) * len(files(at, "train")))


def skipped(path: Path) -> object:
    other = path.parents[1].with_name("set")
    if not other.exists():
        write_data_set(other, train=4, val=4)
    manifest = msgspec.structs.replace(read_manifest(layout(other)), skipped=1)
    with Journal(path.with_name("journal")) as journal:
        return find_packed(layout(path.parents[1]), 16, "train", manifest, journal)


RECIPE = PackingRecipe(img_size=8, file_batch_size=4, resize="squash", seed=1, classes=("a", "b"))
INDEX = Index(np.array([b"a/1", b"b/22"]), np.array([0, 1]))
READERS: dict[str, tuple[str, Callable[[Path], bytes], Reader]] = {
    "manifest": ("misc/manifest.json", manifest, lambda path: read_manifest(layout(path.parent.parent))),
    "classes": (
        "misc/classes.json",
        lambda _: msgspec.json.encode([ClassName(0, "n0", "hüte"), ClassName(1, "n1", "b")]),
        lambda path: read_classes(layout(path.parent.parent)),
    ),
    "recipe": (
        "misc/recipe.json",
        lambda _: msgspec.json.encode(RECIPE),
        lambda path: read_recipe(layout(path.parent.parent)),
    ),
    "names": (
        "misc/val_filenames.npy",
        lambda _: npy(np.array(["a/1.jpg", "b/2.jpg"])),
        lambda path: read_filenames(layout(path.parent.parent), "val"),
    ),
    "mean": ("mean.npy", lambda _: npy(np.zeros((3, 2, 2))), lambda path: read_mean_image(a_data_set(path))),
    "index": ("i.npz", lambda _: index_bytes(INDEX), read_index),
    "words": ("words.txt", lambda _: b"n01 tench, Tinca tinca\nn02 h\xc3\xbcte\n", read_words),
    "truth": ("truth.txt", lambda _: b"3\n14\n159\n", read_ground_truth),
    "devkit": ("meta.mat", lambda _: mat(), read_synsets),
    "batch file": ("0.hkl", lambda _: hdf5(), lambda path: locate_pixels(path, (3, 8, 8, 3))),
    "tar": ("a.tar", lambda _: tar(), lambda path: tar_index(path, path.parent / "cache")),
    "labels of theano_alexnet": (
        "labels/train_labels.npy",
        lambda _: npy(np.arange(16)),
        theano_labels,
    ),
    "skipped images": ("misc/skipped.txt", lambda _: b"train\ta/1.jpg\tit is empty\n", skipped),
    "CIFAR's names": ("batches.meta.txt", lambda _: b"a\nb\n", lambda path: read_names(path, "CIFAR", 2)),
    "MNIST": (
        "train-labels-idx1-ubyte.gz",
        lambda _: gzip.compress(np.array([0x801, 20], ">u4").tobytes() + bytes(20)),
        mnist_labels,
    ),
}
# Their C libraries can damage memory when they read a crafted file, so such files must be trusted: docs/security.md.
TRUSTED = ("devkit", "batch file")
# Each is what a file holds instead: of another encoding, too deep, too long, or nothing.
CONTENTS = (
    b"",
    b"\0" * 1000,
    b"[" * 200_000,
    b'{"a":' * 200_000,
    "hüte n01 7\n".encode("latin-1"),
    "hüte n01 7\n".encode("utf-16"),
    b"9" * 10_000,
    b"\x93NUMPY\x01\0\x10\0" + b"(" * 5000,
    npy(np.array([{"a": 1}], object)),
    npy(np.zeros((0, 3), "M8[s]")),
)


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return ``content`` with some bytes changed, and often cut or with a part repeated."""
    changed = bytearray(content)
    for place in rng.integers(0, len(changed), rng.integers(0, 5)):
        changed[place] = rng.integers(0, 256)
    first, second = sorted(rng.integers(0, len(changed) + 1, 2))
    match rng.integers(0, 3):
        case 0:
            return bytes(changed[:first])
        case 1:
            return bytes(changed[:second] + changed[first:])
    return bytes(changed)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_every_reader_answers_damage_with_one_line_that_names_the_file(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file, write, read = READERS[name]
    content = write(tmp_path / "made")
    path = tmp_path / "folder" / file
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert read(path) is not None
    rng = np.random.default_rng(0)
    n_errors = 0
    n_damaged = 0 if name in TRUSTED else 100
    for changed in [*CONTENTS, *(damaged(content, rng) for _ in range(n_damaged))]:
        path.write_bytes(changed)
        try:
            read(path)
        except DataError as error:
            n_errors += 1
            assert str(tmp_path / "folder") in str(error), changed
            assert "\n" not in str(error), changed
    assert n_errors >= 5
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match="is a pipe or a device, not a file"):
        read(path)


def test_a_damaged_journal_is_read_up_to_the_damage(tmp_path: Path) -> None:
    file = b'{"name":"0","count":1,"bytes":1,"crc32":1,"source_start":0,"source_stop":1}'
    line = b'{"split":"train","file":%s,"skipped":[]}\n' % file
    path = tmp_path / "progress.jsonl"
    for content in CONTENTS:
        path.write_bytes(line + content + b"\n" + line)
        with Journal(path) as journal:
            assert len(journal.finished) == 1
        assert path.read_bytes() == line
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match="is a pipe or a device, not a file"):
        Journal(path)
