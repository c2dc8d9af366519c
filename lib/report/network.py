"""The network of a run's latest checkpoint, looked at and asked: filters, views as fed, predictions."""

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
from lib.config.schema import Config
from lib.data.augment.params import center_params
from lib.data.augment.transform import Transform
from lib.data.dataset import DataSet, read_mean_image
from lib.data.order import BatchOrder
from lib.data.plan import Plan
from lib.data.sampler import Sampler
from lib.data.sources.base import Source
from lib.data.sources.registry import source_kind
from lib.errors import CheckpointError
from lib.models.losses import main_logits
from lib.models.registry import model_spec
from lib.report.predictions import Sample, SampledPredictions, choose_samples
from lib.types import Split

_BATCH = 32
_GUESSES = 5


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much to ask of the network."""

    images: int | None = 256
    """validation images; None: all"""
    seconds: float = float("inf")
    """stop asking after so long"""
    device: str = "cpu"


def latest(folder: Path) -> tuple[Path, Checkpoint]:
    """The run's latest checkpoint. Raises CheckpointError when there is none."""
    path = CheckpointFolder(folder / "checkpoints", keep=1).latest()
    if path is None:
        raise CheckpointError(f"there is no checkpoint in {folder} yet")
    return path, checkpoint.load(path)


def first_filters(parameters: dict[str, Tensor]) -> NDArray[np.float32] | None:
    """The first convolution's weights (N, C, H, W), or None where the network has none to look at."""
    for tensor in parameters.values():
        if tensor.ndim == 4 and min(tensor.shape[2:]) > 1:
            found: NDArray[np.float32] = tensor.float().numpy()
            return found
    return None


class Looker:
    """The data set of a run and the network of a checkpoint. Raises UserError when the data set is gone."""

    def __init__(self, config: Config, path: Path, saved: Checkpoint, effort: Effort) -> None:
        self._config, self._path, self._saved, self._effort = config, path, saved, effort
        self._data: DataSet = source_kind(config.data.source).describe(config.data)
        self._crop = model_spec(config.model.name).crop_of(self._data.img_size)

    def network_inputs(self, count: int = 40) -> NDArray[np.float32]:
        """What worker 0 was fed first in the epoch of the checkpoint: (n, 3, crop, crop), as the network gets it."""
        epoch = min(self._saved.epoch, self._config.run.n_epochs - 1)
        order = self._order()
        plan = Plan(order, self._config.augment, self._data, rank=0, crop=self._crop)
        request = next(plan.training(epoch))
        source = self._open("train")
        sampler = Sampler(order, self._data, source.labels, rank=0)
        images = self._rows(source, sampler.indices("train", epoch, batch=0)[:count])
        source.close()
        views = torch.from_numpy(request.params[:count].copy())
        found: NDArray[np.float32] = self._transform("cpu")(torch.from_numpy(images), views).numpy()
        return found

    def predictions(self) -> SampledPredictions:
        """The network's best classes of validation images."""
        indices = self._chosen()
        labels, guesses, probabilities = self._ask(indices)
        indices = indices[: len(labels)]
        names = [c.name or c.wnid for c in self._data.classes]
        shown = choose_samples(labels, guesses[:, 0] == labels)
        source = self._open("val")
        images = self._rows(source, indices[shown])
        source.close()
        samples = [
            Sample(
                image_HWC=image,
                label=names[labels[number]],
                guesses=[(names[g], float(p)) for g, p in zip(guesses[number], probabilities[number], strict=True)],
            )
            for number, image in zip(shown, images, strict=True)
        ]
        return SampledPredictions(
            checkpoint=self._path.name,
            n_all=self._data.count("val"),
            classes=names,
            labels_N=labels,
            guesses_N5=guesses,
            samples=samples,
        )

    def _chosen(self) -> NDArray[np.int64]:
        """Validation images in an order of which every beginning is spread over all of them."""
        order = np.random.default_rng(0).permutation(self._data.count("val"))
        return order[: self._effort.images]

    @torch.no_grad()
    def _ask(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Labels (n,), best classes (n, 5) and their probabilities, as far as the time goes."""
        device = torch.device(self._effort.device)
        network = self._network().to(device)
        source, transform = self._open("val"), self._transform(device)
        ends_at = time.monotonic() + self._effort.seconds
        found: list[tuple[Tensor, Tensor]] = []
        done = 0
        while done < len(indices) and (done == 0 or time.monotonic() < ends_at):
            images = torch.from_numpy(self._rows(source, indices[done : done + _BATCH])).to(device)
            views = center_params(len(images), img_size=self._data.img_size, crop=self._crop)
            logits = main_logits(network(transform(images, torch.from_numpy(views).to(device))))
            best = logits.float().softmax(1).topk(min(_GUESSES, self._data.n_classes))
            found.append((best.indices.cpu(), best.values.double().cpu()))
            done += len(images)
        source.close()
        guesses, probabilities = (torch.cat(part).numpy() for part in zip(*found, strict=True))
        return source.labels[indices[:done]], guesses, probabilities

    def _network(self) -> nn.Module:
        network: nn.Module = model_spec(self._config.model.name).build(self._data.n_classes, self._crop)
        network.load_state_dict(self._saved.parameters)
        return network.eval()

    def _transform(self, device: str | torch.device) -> Transform:
        return Transform(
            self._config.augment, self._config.normalize, read_mean_image(self._data), self._crop, torch.device(device)
        )

    def _order(self) -> BatchOrder:
        config = self._config
        return BatchOrder.of(
            config.data, config.run, config.logging, batch_size=config.batch_size, world_size=config.world_size
        )

    def _open(self, split: Split) -> Source:
        return source_kind(self._config.data.source).open(self._config.data, self._data, split, print)

    def _rows(self, source: Source, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        size = self._data.img_size
        images = np.empty((len(indices), size, size, 3), np.uint8)
        source.read(indices, images)
        return images
