"""A network that is done with training, and what it needs to look at pictures."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lib.checkpoints import checkpoint
from lib.checkpoints.checkpoint import Checkpoint, Preparation
from lib.checkpoints.folder import best_of_run
from lib.config.schema import AugmentConfig, NormalizeConfig
from lib.data.augment.params import eval_crop_params
from lib.data.augment.transform import Transform
from lib.data.inference_metadata import inference_metadata
from lib.errors import WeightsError
from lib.evaluation.crops import log_probabilities
from lib.formats.load import load_weights
from lib.models.registry import model_spec

PUBLISHED = "https://hdl.handle.net/10864/10911"


@dataclass(frozen=True, kw_only=True)
class Network:
    """``model`` takes images (B, 3, crop, crop), prepared as in its training, and gives logits (B, K)."""

    name: str
    """of the network in lib/models/registry.py"""
    epoch: int
    """epochs it was trained, as far as that is known"""
    model: nn.Module
    crop: int
    preparation: Preparation

    @property
    def img_size(self) -> int:
        """Side of a whole picture, before it is cut."""
        return self.preparation.mean.shape[1]

    def to(self, device: torch.device) -> "Network":
        """The same network, on ``device`` from now on."""
        self.model.to(device)
        return self

    @torch.no_grad()
    def probabilities(self, images_BHWC: NDArray[np.uint8], crops: int) -> Tensor:
        """Of each class, averaged over so many crops (1, 2 or 10) of each picture: float64 (B, K), on the CPU."""
        device = next(self.model.parameters()).device
        images = torch.tensor(images_BHWC, device=device)
        normalize = NormalizeConfig(mean=self.preparation.subtracted, std=self.preparation.std)
        transform = Transform(AugmentConfig(), normalize, self.preparation.mean.numpy(), self.crop, device)
        params_C3 = torch.from_numpy(eval_crop_params(crops, img_size=self.img_size, crop=self.crop)).to(device)

        def logits_of(params_B3: Tensor) -> Tensor:
            logits: Tensor = self.model(transform(images, params_B3))
            return logits.float()

        return log_probabilities(logits_of, params_C3, len(images)).exp().cpu()


def of_checkpoint(saved: Checkpoint) -> Network:
    """The network of a checkpoint; nothing else is needed."""
    spec = model_spec(saved.identity.model)
    crop = spec.crop_of(saved.identity.img_size)
    model = spec.build(saved.identity.n_classes, crop)
    model.load_state_dict(saved.parameters)
    return Network(
        name=saved.identity.model, epoch=saved.epoch, model=model.eval(), crop=crop, preparation=saved.preparation
    )


def of_weights(path: str | Path, model_name: str, data_dir: Path, normalize: NormalizeConfig) -> Network:
    """The network ``model_name`` with weights in any format, and what ``data_dir`` has of mean image and classes.

    ``normalize`` says what is done with the mean image, and what is divided by.
    Raises WeightsError, ConfigError, DataError.
    """
    beside = inference_metadata(data_dir)
    spec = model_spec(model_name)
    crop = spec.crop_of(beside.mean_CHW.shape[1])
    model = spec.build(len(beside.classes), crop)
    load_weights(model, path, normalize.std)
    preparation = Preparation(
        resize=beside.resize,
        mean=torch.from_numpy(beside.mean_CHW),
        classes=tuple((c.wnid, c.name) for c in beside.classes),
        subtracted=normalize.mean,
        std=normalize.std,
    )
    return Network(name=model_name, epoch=0, model=model.eval(), crop=crop, preparation=preparation)


def find_checkpoint(path: Path) -> Path:
    """``path``, or the best checkpoint of the run in folder ``path``.

    Raises WeightsError where there is none, and says where to get weights.
    """
    if path.is_file():
        return path
    found = best_of_run(path)
    if found is None:
        raise WeightsError(
            f"there are no weights in {path}; train some with train.py, name others with --checkpoint, or take those "
            f"published by theano_alexnet ({PUBLISHED}): --checkpoint FOLDER --data FOLDER_WITH_synset_words.txt"
        )
    return found


def open_network(options: argparse.Namespace) -> Network:
    """What ``--checkpoint``, ``--model``, ``--data``, ``--mean`` and ``--std`` name.

    Without data it must be a checkpoint of ours, which knows the rest. Raises UserError.
    """
    if options.data is None:
        found = find_checkpoint(Path(options.checkpoint))
        if not checkpoint.may_be_checkpoint(found):
            raise WeightsError(
                f"{found} is no checkpoint of this program; weights of others need --model and --data, which say "
                "what network they are of, and which mean image and class names go with them"
            )
        return of_checkpoint(checkpoint.load(found))
    normalize = model_spec(options.model).recipe.normalize
    normalize = replace(
        normalize, mean=options.mean or normalize.mean, std=tuple(options.std) if options.std else normalize.std
    )
    return of_weights(options.checkpoint, options.model, options.data, normalize)


def best(probabilities_K: Tensor, classes: Sequence[tuple[str, str]], top: int) -> list[tuple[int, str, str, float]]:
    """The most probable classes, first the first: (index, folder name, readable name, probability) of each."""
    scores, indices = probabilities_K.topk(min(top, len(classes)))
    return [(index, *classes[index], score) for index, score in zip(indices.tolist(), scores.tolist(), strict=True)]
