"""``data.source: auto``: recognise the kind of a data set by the files in its folder."""

from itertools import islice

from ...config.schema import DataConfig
from ...errors import DataError
from ..images.listing import is_image, walk
from ..packed.layout import layout
from .class_folders import VAL_FOLDERS, labeled_place
from .labeled_images import is_label_list
from .published import MARKS

# Files, relative to data.dir, that only a data set of this kind has.
_MARKS = {
    "hickle": ("train_hkl_b*",),
    "lmdb": ("*train*/data.mdb",),
    **{name: (mark,) for name, mark in MARKS.items()},
}
_LAYOUTS = (
    "folders train/CLASS/ and val/CLASS/ of images (or valid/, validation/, test/ for val/)",
    "folders CLASS/ of images, which data.val_share splits",
    "Tiny ImageNet (train/CLASS/images/, val/val_annotations.txt)",
    "lists train.txt and val.txt of lines of NAME LABEL, or images and one list, which data.val_share splits",
    "a packed data set (misc/manifest.json, train_hkl_b256/), which preprocessing/generate_data.sh makes",
    "LMDB (*train*/data.mdb)",
    "CIFAR's binary files (data_batch_1.bin, train.bin)",
    "MNIST's files (train-images-idx3-ubyte)",
)
_NAMED_FILES = 5


def recognise(data: DataConfig) -> str:
    """Return the value of ``data.source`` that reads the data set in ``data.dir``.

    Raises DataError with the layouts that are recognised if it is none of them. Of a folder that does not exist, say
    hickle, whose own error names the ways to make a data set.
    """
    at = layout(data.dir, data.misc_dir)
    if not data.dir.is_dir() or at.manifest.exists() or at.journal.exists():
        return "hickle"
    for name, patterns in _MARKS.items():
        if any(next(data.dir.glob(pattern), None) for pattern in patterns):
            return name
    if any((data.dir / name).is_dir() or is_label_list(data.dir / f"{name}.txt") for name in ("train", *VAL_FOLDERS)):
        return "jpeg_folder"
    if labeled_place(data.dir).labels or any("/" in file.name and is_image(file.name) for file in walk(data.dir)):
        return "jpeg_folder"
    found = [file.name for file in islice((f for f in walk(data.dir) if "/" not in f.name.rstrip("/")), _NAMED_FILES)]
    raise DataError(
        f"{data.dir} holds {', '.join(found) or 'no files'}, which is no data set of a known layout; name with "
        f"--data.dir a folder that holds {'; or '.join(_LAYOUTS)}"
    )
