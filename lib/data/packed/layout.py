"""The data set on disk: its names, axes, types and manifest. Nobody else knows "00001.hkl".

    DIR/train_hkl_b256/00000.hkl ...   uint8 (B, H, W, 3): image-major, RGB, contiguous, uncompressed
    DIR/val_hkl_b256/00000.hkl ...     the last file of a split holds what is left
    DIR/labels/train_labels.npy        int64 (N,), in the order of the images; val_labels.npy alike
    DIR/misc/img_mean.npy              float32 (3, H, W), mean over every training image
    DIR/misc/classes.json              [{"index", "wnid", "name"}, ...]
    DIR/misc/manifest.json             what should be there: a ``Manifest``

Image-major rows are the point: any worker reads any rows of any file, so one data set serves any
number of workers and any batch size.
"""

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from lib.errors import DataError
from lib.system.npy import array_of
from lib.types import Split

FORMAT = 1


class BatchFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of ``count`` images, made from entries ``source_start`` to ``source_stop`` of the source list.

    ``crc32`` here and below is that of a whole file's bytes.
    """

    name: str
    count: int
    bytes: int
    crc32: int
    source_start: int
    source_stop: int


class SplitManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The batch files of one split. ``labels_crc32`` is None until the labels are made."""

    files: tuple[BatchFile, ...]
    labels_crc32: int | None = None

    @property
    def count(self) -> int:
        """Images in this split."""
        return sum(file.count for file in self.files)


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a complete data set holds, and what it was made from."""

    format: int = FORMAT
    img_size: int
    file_batch_size: int
    resize: Literal["squash", "crop"]
    seed: int
    n_classes: int
    source_fingerprint: str
    mean_crc32: int
    skipped: int
    train: SplitManifest
    val: SplitManifest
    crc32: int | msgspec.UnsetType = msgspec.UNSET
    """of all the rest, as msgspec writes it; manifests of older versions have none"""

    def split(self, name: Split) -> SplitManifest:
        return self.train if name == "train" else self.val

    @property
    def fingerprint(self) -> str:
        """Names the content of the data set: equal for equal images in equal order."""
        return hashlib.sha256(self._content).hexdigest()[:16]

    @property
    def _content(self) -> bytes:
        return msgspec.json.encode(msgspec.structs.replace(self, crc32=msgspec.UNSET))

    @property
    def is_unsealed(self) -> bool:
        """Whether it has no checksum."""
        return self.crc32 is msgspec.UNSET

    def sealed(self) -> "Manifest":
        """The same with its checksum."""
        return msgspec.structs.replace(self, crc32=zlib.crc32(self._content))


class ClassName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Class ``index`` is the rank of its folder name, sorted; ``name`` is for people."""

    index: int
    wnid: str
    name: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of one data set lies."""

    dir: Path
    misc: Path

    def batch_dir(self, split: Split, file_batch_size: int) -> Path:
        return self.dir / f"{split}_hkl_b{file_batch_size}"

    def batch_file(self, split: Split, file_batch_size: int, number: int) -> Path:
        return self.batch_dir(split, file_batch_size) / f"{number:05d}.hkl"

    def labels(self, split: Split) -> Path:
        return self.dir / "labels" / f"{split}_labels.npy"

    @property
    def mean(self) -> Path:
        return self.misc / "img_mean.npy"

    @property
    def classes(self) -> Path:
        return self.misc / "classes.json"

    @property
    def manifest(self) -> Path:
        return self.misc / "manifest.json"

    @property
    def shuffled_train_filenames(self) -> Path:
        return self.misc / "shuffled_train_filenames.npy"

    @property
    def val_filenames(self) -> Path:
        return self.misc / "val_filenames.npy"

    def filenames(self, split: Split) -> Path:
        """The names of the split's images, in the order of the batch files: a NumPy array of text."""
        return self.shuffled_train_filenames if split == "train" else self.val_filenames

    @property
    def skipped(self) -> Path:
        """``split, name, reason`` of each picture that was left out, separated by tabs."""
        return self.misc / "skipped.txt"

    @property
    def recipe(self) -> Path:
        """The settings and classes that the data set was made with."""
        return self.misc / "recipe.json"

    @property
    def source_list(self) -> Path:
        """``split, bytes, name`` of each picture it was made from, left out or not, separated by tabs."""
        return self.misc / "source.txt"

    @property
    def journal(self) -> Path:
        """What is finished while a data set is being made."""
        return self.misc / "progress.jsonl"

    def list_file(self, split: Split) -> Path:
        """Caffe's ``NAME LABEL`` lines; line i is image i of the batch files."""
        return self.misc / f"{split}.txt"


def layout(dir: str | Path, misc_dir: str | Path = "misc") -> Layout:
    """The layout of the data set in ``dir``; a relative ``misc_dir`` lies inside it."""
    root = Path(dir).expanduser()
    return Layout(root, root / Path(misc_dir).expanduser())


def read_manifest(at: Layout) -> Manifest:
    """The manifest of ``at``.

    Raises DataError when there is none, or it is not one of ours.
    """
    if not at.dir.is_dir():
        raise DataError(
            f"data folder {at.dir} does not exist; make one with preprocessing/generate_data.sh "
            "(or generate_toy_data.sh), or name yours with --data.dir"
        )
    try:
        text = at.manifest.read_bytes()
    except FileNotFoundError:
        raise DataError(
            f"{at.manifest} is missing, so {at.dir} holds no complete data set; "
            "run preprocessing/generate_data.sh (it goes on where it stopped)"
        ) from None
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataError(f"{at.manifest} is not a manifest of this program: {error}; {_WITHOUT_MANIFEST}") from None
    if manifest.format != FORMAT:
        raise DataError(f"{at.manifest} has format {manifest.format}; this version reads format {FORMAT}")
    if not manifest.is_unsealed and manifest != manifest.sealed():
        raise DataError(f"{at.manifest} is damaged (its checksum is wrong); {_WITHOUT_MANIFEST}")
    return manifest


_WITHOUT_MANIFEST = (
    "put a copy of it back, or delete it and run preprocessing/generate_data.sh, which then packs every picture anew"
)


def read_classes(at: Layout) -> list[ClassName]:
    """The classes, by index. Raises DataError when the file is missing or out of order."""
    try:
        classes = msgspec.json.decode(at.classes.read_bytes(), type=list[ClassName])
    except FileNotFoundError:
        raise DataError(f"{at.classes} is missing; run preprocessing/make_train_val_txt.py") from None
    except msgspec.MsgspecError as error:
        raise DataError(f"{at.classes} is not a list of classes: {error}") from None
    if [c.index for c in classes] != list(range(len(classes))):
        raise DataError(f"{at.classes}: the indices must count up from 0")
    return classes


def read_labels(at: Layout, manifest: Manifest, split: Split) -> NDArray[np.int64]:
    """The labels of one split, int64 (N,). Raises DataError where file and manifest disagree."""
    path = at.labels(split)
    labels = _load(path, manifest.split(split).labels_crc32, "run preprocessing/make_labels.py")
    count = manifest.split(split).count
    if labels.dtype != np.int64 or labels.shape != (count,):
        raise DataError(
            f"{path} holds {labels.dtype} {labels.shape} where the manifest says int64 ({count},); "
            "run preprocessing/make_labels.py again"
        )
    if count and (labels.min() < 0 or labels.max() >= manifest.n_classes):
        raise DataError(
            f"{path} has labels from {labels.min()} to {labels.max()}, but there are {manifest.n_classes} "
            f"classes, 0 to {manifest.n_classes - 1}; run preprocessing/make_labels.py again"
        )
    return labels


def read_mean(at: Layout, manifest: Manifest) -> NDArray[np.float32]:
    """The mean image, float32 (3, H, W). Raises DataError where file and manifest disagree."""
    mean = _load(at.mean, manifest.mean_crc32, "run preprocessing/generate_data.sh")
    shape = (3, manifest.img_size, manifest.img_size)
    if mean.dtype != np.float32 or mean.shape != shape:
        raise DataError(f"{at.mean} holds {mean.dtype} {mean.shape} where float32 {shape} should be")
    return mean


def _load(path: Path, crc32: int | None, remedy: str) -> NDArray[Any]:
    """The array in an .npy file. Raises DataError unless the file's checksum is ``crc32``, where that is known."""
    try:
        content = path.read_bytes()
        if crc32 not in (None, zlib.crc32(content)):
            raise DataError(f"{path} is damaged (its checksum is not the manifest's); delete it and {remedy} again")
        loaded: NDArray[Any] = array_of(content)
    except FileNotFoundError:
        raise DataError(f"{path} is missing; {remedy}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it and {remedy} again") from None
    return loaded
