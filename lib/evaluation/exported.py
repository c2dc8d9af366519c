"""Exported networks, which need no other file: pictures in, class probabilities out.

The metadata of a file, text by name, says how a picture becomes square and what each output means: see docs/exports.md.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from ..checkpoints.checkpoint import Preparation
from ..checkpoints.tensor_checks import tensor_flaw
from ..data.augment.params import center_params
from ..data.augment.transform import MEANS
from ..errors import WeightsError
from ..formats import safe_tensors
from ..formats.registry import load_weights
from ..models.registry import model_spec
from ..types import PUBLISHED, Variant
from .predictor import Predictor


class PictureNetwork(nn.Module):
    """Maps square pictures, uint8 RGB (B, img_size, img_size, 3), to class probabilities (B, K), from the center crop.

    What is subtracted and divided by belongs to it.
    """

    mean_CHW: Tensor
    std_C11: Tensor

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.model = predictor.model
        top, left, _ = center_params(1, img_size=predictor.img_size, crop=predictor.crop)[0].tolist()
        self._rows, self._columns = slice(top, top + predictor.crop), slice(left, left + predictor.crop)
        self.register_buffer("mean_CHW", subtracted(predictor.preparation)[:, self._rows, self._columns].clone())
        self.register_buffer("std_C11", torch.tensor(predictor.preparation.std or (1.0, 1.0, 1.0))[:, None, None])

    def forward(self, images_BHWC: Tensor) -> Tensor:
        cropped_BCHW = images_BHWC[:, self._rows, self._columns].permute(0, 3, 1, 2).float()
        logits: Tensor = self.model((cropped_BCHW - self.mean_CHW) / self.std_C11)
        return logits.softmax(1)


def subtracted(preparation: Preparation) -> Tensor:
    """Return what is subtracted from each pixel of a whole picture, float32 (3, img_size, img_size)."""
    return MEANS[preparation.subtracted](preparation.mean).contiguous()


def metadata(predictor: Predictor) -> dict[str, str]:
    """Return what an exported file says about the network."""
    preparation = predictor.preparation
    return {
        "network": predictor.name,
        **predictor.variant.settings(),
        "epoch": str(predictor.epoch),
        "img_size": str(predictor.img_size),
        "resize": preparation.resize,
        "crop": str(predictor.crop),
        "mean": preparation.subtracted,
        "std": json.dumps(preparation.std),
        "input": describe_input(preparation),
        "folders": json.dumps(preparation.folders),
        "classes": json.dumps([readable or folder for folder, readable in preparation.classes]),
    }


def describe_input(preparation: Preparation) -> str:
    """Return how a picture becomes the input of the network's first layer."""
    means = [round(value, 2) for value in preparation.mean.mean((1, 2)).tolist()]
    mean = {"image": ", minus the mean image", "channel": f", minus the channel means {means}", "none": ""}
    std = f", divided by {list(preparation.std)}" if preparation.std else ""
    return f"float32 RGB, 0 to 255{mean[preparation.subtracted]}{std}"


def read_preparation(path: Path, said: Mapping[str, str], mean_CHW: Tensor | None = None) -> Preparation:
    """Return how pictures are prepared for the network at ``path``, whose metadata are ``said``.

    ``mean_CHW`` is what is subtracted, unless the network itself does that. Raises WeightsError if they are incomplete.
    """
    try:
        side = int(said["img_size"])
        folders, classes = (json.loads(said[key]) for key in ("folders", "classes"))
        values: dict[str, Any] = {
            "resize": said["resize"],
            "mean": torch.zeros(3, 1, 1).expand(3, side, side) if mean_CHW is None else mean_CHW,
            "classes": [*zip(folders, classes, strict=True)],
            "subtracted": said["mean"],
            "std": json.loads(said["std"]),
        }
        preparation = msgspec.convert(values, Preparation)
    except (KeyError, ValueError, TypeError) as error:  # msgspec.ValidationError is a ValueError
        raise WeightsError(
            f"{path} does not say how pictures are prepared ({type(error).__name__}: {error}); export it again with "
            "export.py, or name the data set with --data"
        ) from None
    sound = mean_CHW is None or (mean_CHW.dtype is torch.float32 and not tensor_flaw(mean_CHW))
    if not sound or preparation.mean.shape != (3, side, side):
        raise WeightsError(f"the mean image in {path} is damaged; export it again with export.py")
    if preparation.std and not all(0 < value < math.inf for value in preparation.std):
        raise WeightsError(f"the std in {path} is not positive; export it again with export.py")
    return preparation


def open_safetensors(path: Path) -> Predictor:
    """Return the network in a file that ``export.py`` wrote. Raises WeightsError."""
    said, mean_CHW = safe_tensors.read_header(path)
    if mean_CHW is None:
        raise WeightsError(f"{path} lacks its mean image; export it again with export.py, or add --data and --model")
    preparation = read_preparation(path, said, mean_CHW)
    spec = model_spec(said["network"])
    variant = read_variant(path, said)
    crop = spec.crop_of(preparation.mean.shape[1], variant)
    model = spec.build(len(preparation.classes), crop, variant=variant)
    load_weights(model, path, preparation.std)
    epoch = int(said.get("epoch", "0"))
    return Predictor(
        name=said["network"], variant=variant, epoch=epoch, model=model.eval(), crop=crop, preparation=preparation
    )


def read_variant(path: Path, said: Mapping[str, str]) -> Variant:
    """Return how the network at ``path`` differs from the published one. Raises WeightsError."""
    try:
        return msgspec.convert({name: said[name] for name in vars(PUBLISHED) if name in said}, Variant, strict=False)
    except msgspec.ValidationError as error:
        raise WeightsError(f"{path} does not say which network it is ({error}); export it again") from None
