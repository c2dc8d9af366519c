"""Inspect the latest checkpoint of a run: its filters, its training images after augmentation, its predictions."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lib.checkpoints import checkpoint
from lib.checkpoints.checkpoint import Checkpoint
from lib.checkpoints.folder import CheckpointFolder
from lib.data.augment.params import center_params
from lib.data.augment.transform import Transform
from lib.data.dataset import DataSet, read_mean_image
from lib.data.plan import Plan
from lib.data.sampler import Sampler
from lib.data.sources.base import Source
from lib.data.sources.registry import source_kind
from lib.errors import CheckpointError
from lib.models.losses import main_logits
from lib.models.registry import model_spec
from lib.report.predictions import SampledPredictions, SampleImage, choose_samples
from lib.report.runs import InputSettings
from lib.types import Split

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


def latest_checkpoint(folder: Path) -> tuple[Path, Checkpoint]:
    """Load the run's latest checkpoint. Raises CheckpointError if there is none."""
    path = CheckpointFolder(folder / "checkpoints", keep=1).latest()
    if path is None:
        raise CheckpointError(f"there is no checkpoint in {folder} yet")
    return path, checkpoint.load(path)


def first_filters(parameters: dict[str, Tensor]) -> NDArray[np.float32] | None:
    """Return the first convolution's weights (N, C, H, W), or None if no convolution is larger than 1 x 1."""
    for tensor in parameters.values():
        if tensor.ndim == 4 and min(tensor.shape[2:]) > 1:
            filters: NDArray[np.float32] = tensor.float().numpy()
            return filters
    return None


class CheckpointInspector:
    """The network of a checkpoint with the data set of its run. Raises UserError if the data set is not there."""

    def __init__(self, inputs: InputSettings, path: Path, saved: Checkpoint, budget: SampleBudget) -> None:
        self._inputs, self._path, self._saved, self._budget = inputs, path, saved, budget
        self._kind = source_kind(inputs.data.source)
        self._data: DataSet = self._kind.describe(inputs.data)
        self._spec = model_spec(saved.identity.model)
        self._crop = self._spec.crop_of(self._data.img_size)

    def training_inputs(self, count: int = 40) -> NDArray[np.float32]:
        """Return the first inputs of worker 0 in the checkpoint's epoch, augmented and normalized: (n, 3, H, W)."""
        order = self._inputs.order
        epoch = min(self._saved.epoch, order.n_epochs - 1)
        request = next(Plan(order, self._inputs.augment, self._data, rank=0, crop=self._crop).training(epoch))
        source = self._open("train")
        indices = Sampler(order, self._data, source.labels, rank=0).indices("train", epoch, batch=0)
        images = torch.from_numpy(self._read(source, indices[:count]))
        source.close()
        transform = self._transform(torch.device("cpu"))
        inputs: NDArray[np.float32] = transform(images, torch.from_numpy(request.params[:count].copy())).numpy()
        return inputs

    def predictions(self) -> SampledPredictions:
        """Evaluate validation images that are spread over the whole set, within the budget."""
        # Every prefix of a random order is spread over the set, so it does not matter when the time is up.
        order = np.random.default_rng(0).permutation(self._data.count("val"))
        labels, top5, probabilities = self._evaluate(order[: self._budget.images])
        names = [c.name or c.wnid for c in self._data.classes]
        chosen = choose_samples(labels, top5[:, 0] == labels)
        source = self._open("val")
        images = self._read(source, order[chosen])
        source.close()
        samples = [
            SampleImage(
                image_HWC=image,
                label=names[labels[number]],
                top5=[(names[c], float(p)) for c, p in zip(top5[number], probabilities[number], strict=True)],
            )
            for number, image in zip(chosen, images, strict=True)
        ]
        return SampledPredictions(
            checkpoint=self._path.name,
            n_all=self._data.count("val"),
            classes=names,
            labels_N=labels,
            top5_N5=top5,
            samples=samples,
        )

    @torch.no_grad()
    def _evaluate(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return labels (n,), the best five classes (n, 5) and their probabilities, of the images that time allows."""
        device = torch.device(self._budget.device)
        network, transform = self._network().to(device), self._transform(device)
        source = self._open("val")
        deadline = time.monotonic() + self._budget.seconds
        batches: list[tuple[Tensor, Tensor]] = []
        done = 0
        while done < len(indices) and (done == 0 or time.monotonic() < deadline):
            images = torch.from_numpy(self._read(source, indices[done : done + _BATCH])).to(device)
            params = center_params(len(images), img_size=self._data.img_size, crop=self._crop)
            logits = main_logits(network(transform(images, torch.from_numpy(params).to(device))))
            best = logits.float().softmax(1).topk(min(_TOP, self._data.n_classes))
            batches.append((best.indices.cpu(), best.values.double().cpu()))
            done += len(images)
        source.close()
        top5, probabilities = (torch.cat(parts).numpy() for parts in zip(*batches, strict=True))
        return source.labels[indices[:done]], top5, probabilities

    def _network(self) -> nn.Module:
        network: nn.Module = self._spec.build(self._data.n_classes, self._crop)
        network.load_state_dict(self._saved.parameters)
        return network.eval()

    def _transform(self, device: torch.device) -> Transform:
        inputs = self._inputs
        return Transform(inputs.augment, inputs.normalize, read_mean_image(self._data), self._crop, device)

    def _open(self, split: Split) -> Source:
        return self._kind.open(self._inputs.data, self._data, split, print)

    def _read(self, source: Source, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        size = self._data.img_size
        images = np.empty((len(indices), size, size, 3), np.uint8)
        source.read(indices, images)
        return images
