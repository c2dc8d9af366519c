"""What weights of other programs need for inference: class names, a mean image, and how images become square.

A packed data set has all of this. Any other folder must have names of the classes: a list (see ``class_names``) or
class folders in train/. Its mean image is img_mean.npy, in misc/ or at the top; without one, the mean color of ImageNet
is used.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..system.npy import read_npy
from .class_names import IN_ORDER, classes_of_folders, find_words, read_words
from .dataset import ClassName
from .packed.layout import Layout, layout
from .packed.manifest import read_manifest
from .packed.metadata import read_classes, read_mean
from .sources.labeled_images import images_of_folders

# Red, green and blue. Caffe has 104, 117, 123 (BGR) and torchvision 0.485, 0.456, 0.406 for the same.
IMAGENET_MEAN = (123.68, 116.78, 103.94)
_IMG_SIZE = 256


class InferenceMetadata(NamedTuple):
    """What weights alone do not contain."""

    classes: tuple[ClassName, ...]
    mean_CHW: NDArray[np.float32]
    """(3, H, W), 0 to 255; images are resized to this size"""
    resize: Literal["squash", "crop"]


def inference_metadata(folder: Path) -> InferenceMetadata:
    """Return the metadata in ``folder``. Raises DataError."""
    at = layout(folder)
    if at.manifest.exists():
        manifest = read_manifest(at)
        return InferenceMetadata(tuple(read_classes(at)), read_mean(at, manifest), manifest.resize)
    return InferenceMetadata(_classes(at), _mean(at), "squash")


def _classes(at: Layout) -> tuple[ClassName, ...]:
    if at.classes.is_file():
        return tuple(read_classes(at))
    if (train := at.dir / "train").is_dir():
        return classes_of_folders(at, images_of_folders(train).classes)
    if path := find_words((at.misc, at.dir), IN_ORDER):
        return tuple(ClassName(i, *pair) for i, pair in enumerate(read_words(path).items()))
    raise DataError(
        f"{at.dir} names no classes: it holds no packed data set, no train/CLASS/ and no {' or '.join(IN_ORDER)}; "
        "put one of these lists there, or name another folder with --data"
    )


def _mean(at: Layout) -> NDArray[np.float32]:
    path = next((path for path in (at.mean, at.dir / at.mean.name) if path.is_file()), None)
    if path is None:
        color_C11 = np.array(IMAGENET_MEAN, np.float32)[:, None, None]
        return np.broadcast_to(color_C11, (3, _IMG_SIZE, _IMG_SIZE)).copy()
    mean = read_npy(path, DataError, "download it again, or delete it")
    if mean.ndim != 3 or mean.shape != (3, mean.shape[1], mean.shape[1]) or mean.dtype.kind != "f":
        raise DataError(f"{path} holds {mean.dtype} {mean.shape}, not a mean image (3, H, H); download it again")
    return mean.astype(np.float32)
