"""Inspect the latest checkpoint of a run: its filters, its training images after augmentation, its predictions."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..checkpoints import checkpoint
from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.classes import check_same_order
from ..checkpoints.folder import CheckpointFolder
from ..data.augment.transform import Transform
from ..data.dataset import DataSet
from ..data.plan import Plan
from ..data.sampler import Sampler
from ..data.sources.base import Source
from ..data.sources.registry import source_kind
from ..errors import CheckpointError
from ..evaluation.plot import drawable
from ..evaluation.predictions import Predictions
from ..evaluation.predictor import Predictor, predictor_of_checkpoint
from ..models.registry import model_spec
from ..types import Split
from .predictions import SampledPredictions, SampleImage, choose_samples
from .runs import InputSettings

_BATCH = 32
_TOP = 5


@dataclass(frozen=True, kw_only=True)
class SampleBudget:
    """How many validation images to evaluate, for how long, and where."""

    images: int | None = 256
    """None: all"""
    seconds: float = float("inf")
    """time after which no further batch is evaluated"""
    device: str = "cpu"


def latest_checkpoint(folder: Path) -> Checkpoint:
    """Load the run's latest checkpoint. Raises CheckpointError if there is none."""
    path = CheckpointFolder(folder / "checkpoints", keep=1).latest()
    if path is None:
        raise CheckpointError(f"there is no checkpoint in {folder} yet")
    return checkpoint.load(path)


def first_filters(parameters: dict[str, Tensor]) -> NDArray[np.float32] | None:
    """Return the first convolution's weights (N, C, H, W), or None if no convolution is larger than 1 x 1."""
    for tensor in parameters.values():
        if tensor.ndim == 4 and min(tensor.shape[2:]) > 1:
            filters: NDArray[np.float32] = tensor.float().numpy()
            return filters
    return None


class CheckpointInspector:
    """The network of a checkpoint with the data set of its run.

    Raises UserError if the data set is not there, or by now has classes of other names.
    """

    def __init__(self, inputs: InputSettings, saved: Checkpoint, budget: SampleBudget) -> None:
        self._inputs, self._saved, self._budget = inputs, saved, budget
        self._data: DataSet = source_kind(inputs.data).describe(inputs.data)
        if inputs.by_name:
            check_same_order(saved.name, saved.preparation.folders, [c.wnid for c in self._data.classes])

    def training_inputs(self, count: int = 40) -> NDArray[np.float32]:
        """Return the first inputs of worker 0 in the checkpoint's epoch, augmented and normalized: (n, 3, H, W)."""
        inputs, data = self._inputs, self._data
        crop = model_spec(self._saved.identity.model).crop_of(data.img_size, self._saved.identity.variant)
        epoch = min(self._saved.epoch, inputs.order.n_epochs - 1)
        request = next(Plan(inputs.order, inputs.augment, data, rank=0, crop=crop).training(epoch))
        source = self._open("train")
        indices = Sampler(inputs.order, data, source.labels, rank=0).indices("train", epoch, batch=0)
        images = torch.from_numpy(self._read(source, indices[:count]))
        source.close()
        transform = Transform(
            inputs.augment, inputs.normalize, self._saved.preparation.mean.numpy(), crop, torch.device("cpu")
        )
        transform.size = inputs.augment.size(epoch, inputs.order.n_epochs) or crop
        augmented: NDArray[np.float32] = transform(images, torch.from_numpy(request.params[:count].copy())).numpy()
        return augmented

    def predictions(self) -> SampledPredictions:
        """Evaluate validation images that are spread over the whole set, within the budget."""
        predictor = predictor_of_checkpoint(self._saved).to(torch.device(self._budget.device))
        source = self._open("val")
        predictions = self._evaluate(predictor, source)
        names = [drawable(c.name or c.wnid) for c in self._data.classes]
        chosen = choose_samples(predictions.labels, predictions.label_ranks == 0)
        images = self._read(source, predictions.images[chosen])
        source.close()
        probabilities = torch.from_numpy(predictions.probabilities[chosen])
        samples = [
            SampleImage(
                image_HWC=image,
                label=names[label],
                top5=[(names[c], score) for c, _, _, score in predictor.top_classes(probabilities_K, _TOP)],
            )
            for image, label, probabilities_K in zip(images, predictions.labels[chosen], probabilities, strict=True)
        ]
        n_all = self._data.count("val")
        return SampledPredictions(n_all=n_all, classes=names, predictions=predictions, samples=samples)

    def _evaluate(self, predictor: Predictor, source: Source) -> Predictions:
        # Every prefix of a random order is spread over the whole set, so it does not matter where the time is up.
        order = np.random.default_rng(0).permutation(self._data.count("val"))[: self._budget.images]
        deadline = time.monotonic() + self._budget.seconds
        parts: list[Predictions] = []
        for start in range(0, len(order), _BATCH):
            if parts and time.monotonic() > deadline:
                break
            indices = order[start : start + _BATCH]
            log_probabilities = predictor.probabilities(self._read(source, indices), crops=1).log()
            parts.append(Predictions.of(indices, torch.from_numpy(source.labels[indices]), log_probabilities))
        return Predictions.concatenate(parts)

    def _open(self, split: Split) -> Source:
        return source_kind(self._inputs.data).open(self._inputs.data, self._data, split, print)

    def _read(self, source: Source, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        size = self._data.img_size
        images = np.empty((len(indices), size, size, 3), np.uint8)
        source.read(indices, images)
        return images
