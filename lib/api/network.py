"""A trained network: it predicts, or gives its parts to a loop of your own."""

import builtins
import os
from argparse import Namespace
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ..data.images.decode import decode, decode_image
from ..errors import DataError
from ..evaluation.opening import open_network
from ..evaluation.predictor import Predictor
from ..system.devices import choose_device
from ..types import PUBLISHED, Activation
from .settings import StrPath

_NoArray = StrPath | bytes | Image.Image
Picture = _NoArray | NDArray[np.uint8]
"""a file by name, its bytes, an image of Pillow, or an array, uint8: RGB (H, W, 3), RGBA (H, W, 4) or grey (H, W)"""

# Pictures that are decoded and computed at a time.
_BATCH = 64


class Class(NamedTuple):
    """A class and its probability."""

    number: int
    folder: str
    name: str
    probability: float


@dataclass(frozen=True, eq=False)  # arrays have no one truth value
class Prediction:
    """The classes of one picture."""

    best: tuple[Class, ...] = field(repr=False)
    """all classes, the most probable one first"""
    probabilities: NDArray[np.float64] = field(repr=False)
    """(K,), in the order of the network's classes"""

    @property
    def name(self) -> str:
        """The readable name of the most probable class."""
        return self.best[0].name

    @property
    def probability(self) -> float:
        """The probability of the most probable class."""
        return self.best[0].probability

    def __repr__(self) -> str:
        return f"Prediction({', '.join(f'{one.name!r}: {one.probability:.3f}' for one in self.best[:3])})"


class Network:
    """A trained network, with what prepares its pictures and the names of its classes. ``open`` returns one."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    @property
    def name(self) -> str:
        """The name of the network, as in ``model.name``."""
        return self._predictor.name

    @property
    def classes(self) -> tuple[str, ...]:
        """The readable names of the classes, by number."""
        return tuple(readable or folder for folder, readable in self._predictor.preparation.classes)

    @property
    def folders(self) -> tuple[str, ...]:
        """The folder names of the classes, by number."""
        return self._predictor.preparation.folders

    @property
    def img_size(self) -> int:
        """Side of the square pictures that the network is prepared for, in pixels."""
        return self._predictor.img_size

    @property
    def model(self) -> nn.Module:
        """The network alone: what ``preprocess`` returns in, logits (B, K) out. Raises ConfigError for ONNX."""
        self._predictor.inputs(np.empty((0, self.img_size, self.img_size, 3), np.uint8))
        return self._predictor.model

    def to(self, device: str | torch.device) -> "Network":
        """Move the network to this device, and return it."""
        self._predictor = self._predictor.to(torch.device(device))
        return self

    def prepare(self, picture: Picture) -> NDArray[np.uint8]:
        """Return a picture upright and square: uint8 RGB (img_size, img_size, 3), as ``classify.py`` prepares it.

        Grey becomes RGB, transparent pixels white, and EXIF's orientation is applied. Raises DataError with the name of
        the file if it cannot be read or decoded, or for an array of another type or shape.
        """
        size, resize = self.img_size, self._predictor.preparation.resize
        if isinstance(picture, np.ndarray):
            return decode_image(_image_of(picture), size, resize)
        if isinstance(picture, Image.Image):
            return decode_image(picture, size, resize)
        if isinstance(picture, builtins.bytes):
            return decode(picture, size, resize)
        path = Path(os.fspath(picture))
        try:
            return decode(path.read_bytes(), size, resize)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
        except DataError as error:
            raise DataError(f"{path}: {error}") from None

    def preprocess(self, pictures: Iterable[Picture]) -> Tensor:
        """Return the input of ``model``: the center crops, normalized as in training, float32 (B, 3, crop, crop).

        Raises DataError, and ConfigError for ONNX.
        """
        return self._predictor.inputs(np.stack([self.prepare(one) for one in pictures]))

    @overload
    def predict(self, pictures: _NoArray, *, crops: int = 1) -> Prediction: ...  # type: ignore[overload-overlap]

    @overload  # one picture, or with four axes several
    def predict(self, pictures: NDArray[np.uint8], *, crops: int = 1) -> Any: ...

    @overload
    def predict(self, pictures: Iterable[Picture], *, crops: int = 1) -> list[Prediction]: ...

    def predict(self, pictures: Any, *, crops: int = 1) -> Prediction | list[Prediction]:
        """Return the prediction for a picture, or the list of predictions for several.

        An array (N, H, W, 3) is several. ``crops`` is 1, 2 or 10, over which probabilities are averaged. Raises
        DataError for a picture that cannot be decoded.
        """
        if _is_one(pictures):
            return self._predict([pictures], crops)[0]
        rest: Iterator[Picture] = iter(pictures)
        found: list[Prediction] = []
        while batch := list(islice(rest, _BATCH)):
            found += self._predict(batch, crops)
        return found

    def _predict(self, pictures: list[Picture], crops: int) -> list[Prediction]:
        images_BHWC = np.stack([self.prepare(one) for one in pictures])
        return [
            Prediction(
                tuple(Class(*one) for one in self._predictor.top_classes(row_K, len(row_K))),
                row_K.numpy(),
            )
            for row_K in self._predictor.probabilities(images_BHWC, crops)
        ]

    def __repr__(self) -> str:
        return f"Network({self.name}, {len(self.classes)} classes, images of {self.img_size} x {self.img_size})"


def open(
    path: StrPath = "models",
    *,
    model: str = "alexnet",
    data: StrPath | None = None,
    made_for: str = "auto",
    mean: str | None = None,
    std: tuple[float, float, float] | None = None,
    img_size: int = 0,
    crop: int = PUBLISHED.crop,
    width: float = PUBLISHED.width,
    activation: Activation = PUBLISHED.activation,
    blurpool: bool = PUBLISHED.blurpool,
    classes: str = "by_name",
    device: str = "auto",
) -> Network:
    """Return the network in a run's folder (its best checkpoint), a checkpoint, or a file of ``export.py``.

    "torchvision" means the weights that it publishes for ``model``. Weights of other programs need ``model``, the
    network they belong to, and ``data``, a folder with the names of their classes: these options are those of
    ``classify.py``. If they were trained on another size, ``img_size`` is that of the pictures and ``crop`` that of the
    input; 0 is the network's own. ``width``, ``activation`` and ``blurpool`` are those of ``model``. ``device`` is auto
    (a GPU if there is one), cpu, cuda:0 and so on. Raises UserError.
    """
    options = Namespace(
        checkpoint=os.fspath(path),
        data=None if data is None else Path(data),
        model=model,
        made_for=made_for,
        mean=mean,
        std=std,
        img_size=img_size,
        crop=crop,
        width=width,
        activation=activation,
        blurpool=blurpool,
        classes=classes,
    )
    chosen = choose_device([device], 0, torch.cuda.device_count())
    return Network(open_network(options).to(chosen))


def _is_one(pictures: Any) -> bool:
    if isinstance(pictures, np.ndarray):
        return pictures.ndim < 4
    return isinstance(pictures, str | os.PathLike | builtins.bytes | Image.Image)


def _image_of(array: NDArray[Any]) -> Image.Image:
    """Return an array as an image of Pillow. Raises DataError."""
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in (1, 3, 4) or not array.size:
        raise DataError(
            f"an array of {array.dtype} {array.shape} is no picture; give uint8, 0 to 255, as (H, W, 3) in RGB, "
            "(H, W, 4) in RGBA, or (H, W) in grey"
        )
    return Image.fromarray(np.ascontiguousarray(array[:, :, 0] if array.ndim == 3 and channels == 1 else array))
