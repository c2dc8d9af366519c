"""A trained network together with the preprocessing of its images and the names of its classes."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..checkpoints import checkpoint
from ..checkpoints.checkpoint import Checkpoint, Preparation
from ..checkpoints.classes import match_classes
from ..checkpoints.folder import best_of_run
from ..checkpoints.tensor_checks import check_fit
from ..config.made_for import parse_made_for
from ..config.schema import AugmentConfig, NormalizeConfig
from ..data.augment.params import center_params, eval_crop_params
from ..data.augment.transform import Transform
from ..data.inference_metadata import inference_metadata
from ..errors import CheckpointError, ConfigError, WeightsError
from ..formats.registry import load_weights
from ..models.registry import model_spec
from ..types import PUBLISHED, Variant
from .crops import describe_input, log_probabilities
from .output_formats import TopClasses


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A trained network. ``model`` maps images (B, 3, crop, crop), normalized as in its training, to logits (B, K)."""

    name: str
    """its name in lib/models/registry.py"""
    variant: Variant = PUBLISHED
    epoch: int
    """epochs that it was trained; 0 if that is not known"""
    model: nn.Module
    crop: int
    preparation: Preparation

    @property
    def img_size(self) -> int:
        """Side of a whole image, before it is cropped."""
        return self.preparation.mean.shape[1]

    def describe_input(self) -> str:
        """Return in a few words how a picture becomes the network's input."""
        return describe_input(self.img_size, self.crop)

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return next(self.model.parameters()).device

    def to(self, device: torch.device) -> "Predictor":
        """Move the network to ``device`` and return it."""
        self.model.to(device)
        return self

    @torch.no_grad()
    def probabilities(self, images_BHWC: NDArray[np.uint8], crops: int) -> Tensor:
        """Return the class probabilities, averaged over 1, 2 or 10 ``crops``: float64 (B, K), on the CPU."""
        inputs_of = self._inputs(images_BHWC)
        params_C3 = torch.from_numpy(eval_crop_params(crops, img_size=self.img_size, crop=self.crop)).to(self.device)

        def logits_of(params_B3: Tensor) -> Tensor:
            logits: Tensor = self.model(inputs_of(params_B3))
            return logits.float()

        return log_probabilities(logits_of, params_C3, len(images_BHWC)).exp().cpu()

    def inputs(self, images_BHWC: NDArray[np.uint8]) -> Tensor:
        """Return the input of ``model`` for the center crops: float32 (B, 3, crop, crop), on its device."""
        params = center_params(len(images_BHWC), img_size=self.img_size, crop=self.crop)
        return self._inputs(images_BHWC)(torch.from_numpy(params).to(self.device))

    def _inputs(self, images_BHWC: NDArray[np.uint8]) -> Callable[[Tensor], Tensor]:
        """Return a function from the parameters of crops (B, 3) to the input of ``model``."""
        normalize = NormalizeConfig(mean=self.preparation.subtracted, std=self.preparation.std)
        transform = Transform(AugmentConfig(), normalize, self.preparation.mean.numpy(), self.crop, self.device)
        return partial(transform, torch.tensor(images_BHWC, device=self.device))

    def top_classes(self, probabilities_K: Tensor, count: int) -> TopClasses:
        """Return the ``count`` most probable classes, best first."""
        classes = self.preparation.classes
        scores, indices = probabilities_K.topk(min(count, len(classes)))
        return [(index, *classes[index], score) for index, score in zip(indices.tolist(), scores.tolist(), strict=True)]


def predictor_of_checkpoint(saved: Checkpoint) -> Predictor:
    """Return the network of a checkpoint, which holds everything that it needs. Raises UserError if it does not fit."""
    spec = model_spec(saved.identity.model)
    variant = saved.identity.variant
    crop = spec.crop_of(saved.identity.img_size, variant)
    model = spec.build(saved.identity.n_classes, crop, variant=variant)
    check_fit(saved.name, saved.parameters, model.state_dict(), CheckpointError)
    model.load_state_dict(saved.parameters)
    return Predictor(
        name=saved.identity.model,
        variant=variant,
        epoch=saved.epoch,
        model=model.eval(),
        crop=crop,
        preparation=saved.preparation,
    )


def find_checkpoint(path: Path) -> Path:
    """Return ``path``, or the best checkpoint of the run in folder ``path``.

    Raises WeightsError if there is none; the message says where to get weights.
    """
    if path.is_file():
        return path
    found = best_of_run(path)
    if found is None:
        raise WeightsError(
            f"there are no weights in {path}; train some with train.py, name others with --checkpoint, or use those "
            "published by theano_alexnet (https://hdl.handle.net/10864/10911): --checkpoint FOLDER "
            "--data FOLDER_WITH_synset_words.txt"
        )
    return found


def open_predictor(options: argparse.Namespace) -> Predictor:
    """Return the network that ``--checkpoint`` names, as the options beside it say (``add_network_options``).

    Without ``--data`` it must be a checkpoint of this program, which holds the rest. Raises UserError.
    """
    if options.data is None:
        found = find_checkpoint(Path(options.checkpoint))
        if not checkpoint.may_be_checkpoint(found):
            raise WeightsError(
                f"{found} is no checkpoint of this program; weights of other programs need --model, the network that "
                "they belong to, and --data, a folder with their mean image and class names"
            )
        return predictor_of_checkpoint(checkpoint.load(found))
    metadata, spec = inference_metadata(options.data), model_spec(options.model)
    mean_CHW, subtracted = torch.from_numpy(metadata.mean_CHW), options.mean or spec.recipe.normalize.mean
    images = parse_made_for("--made_for", options.made_for)
    if images and images.mean:
        mean_CHW, subtracted = torch.tensor(images.mean)[:, None, None].expand_as(mean_CHW).contiguous(), "channel"
    if options.img_size:
        mean_CHW = mean_of_size(mean_CHW, options.img_size, subtracted, options.data)
    preparation = Preparation(
        resize=metadata.resize,
        mean=mean_CHW,
        classes=tuple((c.wnid, c.name) for c in metadata.classes),
        subtracted=subtracted,
        std=tuple(options.std) if options.std else spec.recipe.normalize.std,
    )
    variant = Variant(**{name: getattr(options, name) for name in vars(PUBLISHED)})
    crop = spec.crop_of(mean_CHW.shape[1], variant)
    model = spec.build(len(metadata.classes), crop, variant=variant)
    folders = load_weights(model, options.checkpoint, preparation.std, options.model, options.made_for).folders
    if folders and options.classes == "by_name":
        match_classes(options.checkpoint, folders, preparation.folders)
        named = dict(preparation.classes)
        preparation = replace(preparation, classes=tuple((folder, named[folder]) for folder in folders))
    return Predictor(
        name=options.model, variant=variant, epoch=0, model=model.eval(), crop=crop, preparation=preparation
    )


def mean_of_size(mean_CHW: Tensor, img_size: int, subtracted: str, where: Path) -> Tensor:
    """Return the mean (3, H, W) for images of another size. Raises ConfigError if the mean differs between pixels."""
    color_C11 = mean_CHW.mean((1, 2), keepdim=True)
    if mean_CHW.shape[1] == img_size:
        return mean_CHW
    if subtracted == "image" and not torch.allclose(mean_CHW, color_C11):
        raise ConfigError(
            f"--img_size is {img_size}, but the mean image in {where} has {mean_CHW.shape[1]} x {mean_CHW.shape[2]} "
            "pixels; give --mean channel, which takes its mean color, or the folder of a mean image of that size"
        )
    return color_C11.repeat(1, img_size, img_size)
