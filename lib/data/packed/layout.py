"""The names of all files of a packed data set. No other module knows "00001.hkl".

    DIR/train_hkl_b256/00000.hkl ...   uint8 (B, H, W, 3): image-major, RGB, contiguous, uncompressed
    DIR/val_hkl_b256/00000.hkl ...     the last file of a split holds the remaining images
    DIR/labels/train_labels.npy        int64 (N,), in the order of the images; val_labels.npy likewise
    DIR/misc/img_mean.npy              float32 (3, H, W), mean over all training images
    DIR/misc/classes.json              [{"index", "wnid", "name"}, ...]
    DIR/misc/manifest.json             a ``Manifest``: what the data set should hold

Images are the first axis, so any worker reads any rows of any file: one data set serves any number of workers and any
batch size.
"""

from dataclasses import dataclass
from pathlib import Path

from ...types import Split


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one data set."""

    dir: Path
    misc: Path

    def batch_dir(self, split: Split, file_batch_size: int) -> Path:
        """Return the folder of the split's batch files."""
        return self.dir / f"{split}_hkl_b{file_batch_size}"

    def batch_file(self, split: Split, file_batch_size: int, number: int) -> Path:
        """Return the path of batch file ``number`` of the split."""
        return self.batch_dir(split, file_batch_size) / f"{number:05d}.hkl"

    def labels(self, split: Split) -> Path:
        """Return the path of the labels of the split, a NumPy array."""
        return self.dir / "labels" / f"{split}_labels.npy"

    @property
    def mean(self) -> Path:
        """The mean image, a NumPy array."""
        return self.misc / "img_mean.npy"

    @property
    def classes(self) -> Path:
        """The classes by index, with readable names."""
        return self.misc / "classes.json"

    @property
    def manifest(self) -> Path:
        """What the data set should hold."""
        return self.misc / "manifest.json"

    def filenames(self, split: Split) -> Path:
        """Return the path of the image names of the split, a NumPy array of text in the order of the batch files."""
        return self.misc / ("shuffled_train_filenames.npy" if split == "train" else "val_filenames.npy")

    @property
    def skipped(self) -> Path:
        """``split, name, reason`` of each image that was skipped, separated by tabs."""
        return self.misc / "skipped.txt"

    @property
    def recipe(self) -> Path:
        """The settings and classes with which the data set was made."""
        return self.misc / "recipe.json"

    @property
    def source_list(self) -> Path:
        """``split, bytes, name`` of each image file that it was made from, skipped or not, separated by tabs."""
        return self.misc / "source.txt"

    @property
    def journal(self) -> Path:
        """The finished batch files, while a data set is being made."""
        return self.misc / "progress.jsonl"

    def list_file(self, split: Split) -> Path:
        """``NAME LABEL`` lines as Caffe reads them; line i is image i of the batch files."""
        return self.misc / f"{split}.txt"


def layout(dir: str | Path, misc_dir: str | Path = "misc") -> Layout:
    """Return the paths of the data set in ``dir``. A relative ``misc_dir`` is inside it."""
    root = Path(dir).expanduser()
    return Layout(root, root / Path(misc_dir).expanduser())
