"""The network of a run's latest checkpoint, looked at and asked: filters, views as fed, predictions."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lib import checkpoint
from lib.checkpoint import Checkpoint, CheckpointFolder
from lib.config import Config
from lib.data.hickle_batches import HickleBatches
from lib.data.layout import Layout, Manifest, Split, layout, read_classes, read_manifest, read_mean
from lib.data.plan import Plan
from lib.data.views import apply_views, center_views
from lib.errors import CheckpointError
from lib.models.registry import model_spec
from lib.report.predictions import Predictions, Sample, choose_samples

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
        self._at: Layout = layout(config.data.dir, config.data.misc_dir)
        self._manifest: Manifest = read_manifest(self._at)
        self._crop = model_spec(config.model.name).crop_of(self._manifest.img_size)
        self._mean_HWC = torch.from_numpy(read_mean(self._at, self._manifest).transpose(1, 2, 0).copy())

    def fed_views(self, count: int = 40) -> NDArray[np.float32]:
        """What worker 0 was fed first in the epoch of the checkpoint: (n, 3, crop, crop), as the network gets it."""
        epoch = min(self._saved.epoch, self._config.run.n_epochs - 1)
        plan = Plan(self._config, self._manifest, rank=0, crop=self._crop)
        ask = next(plan.training(epoch))
        images = self._read("train", plan.train.indices(epoch, 0)[:count])
        views = torch.from_numpy(ask.views[:count].copy())
        found: NDArray[np.float32] = apply_views(torch.from_numpy(images), self._mean_HWC, views, self._crop).numpy()
        return found

    def predictions(self) -> Predictions:
        """The network's best classes of validation images."""
        indices = self._chosen()
        labels, guesses, probabilities = self._ask(indices)
        indices = indices[: len(labels)]
        names = [c.name or c.wnid for c in read_classes(self._at)]
        shown = choose_samples(labels, guesses[:, 0] == labels)
        images = self._read("val", indices[shown])
        samples = [
            Sample(
                image_HWC=image,
                label=names[labels[number]],
                guesses=[(names[g], float(p)) for g, p in zip(guesses[number], probabilities[number], strict=True)],
            )
            for number, image in zip(shown, images, strict=True)
        ]
        return Predictions(
            checkpoint=self._path.name,
            n_all=self._manifest.val.count,
            classes=names,
            labels_N=labels,
            guesses_N5=guesses,
            samples=samples,
        )

    def _chosen(self) -> NDArray[np.int64]:
        """Validation images in an order of which every beginning is spread over all of them."""
        order = np.random.default_rng(0).permutation(self._manifest.val.count)
        return order[: self._effort.images]

    @torch.no_grad()
    def _ask(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Labels (n,), best classes (n, 5) and their probabilities, as far as the time goes."""
        device = torch.device(self._effort.device)
        network = self._network().to(device)
        source = HickleBatches(self._at, self._manifest, "val", 1)
        ends_at = time.monotonic() + self._effort.seconds
        found: list[tuple[Tensor, Tensor]] = []
        done = 0
        while done < len(indices) and (done == 0 or time.monotonic() < ends_at):
            images = torch.from_numpy(self._read("val", indices[done : done + _BATCH])).to(device)
            views = center_views(len(images), img_size=self._manifest.img_size, crop=self._crop)
            fed = apply_views(images, self._mean_HWC.to(device), torch.from_numpy(views).to(device), self._crop)
            best = network(fed).float().softmax(1).topk(min(_GUESSES, self._manifest.n_classes))
            found.append((best.indices.cpu(), best.values.double().cpu()))
            done += len(images)
        source.close()
        guesses, probabilities = (torch.cat(part).numpy() for part in zip(*found, strict=True))
        return source.labels[indices[:done]], guesses, probabilities

    def _network(self) -> nn.Module:
        network = model_spec(self._config.model.name).build(self._manifest.n_classes, self._crop)
        network.load_state_dict(self._saved.parameters)
        return network.eval()

    def _read(self, split: Split, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        size = self._manifest.img_size
        images = np.empty((len(indices), size, size, 3), np.uint8)
        source = HickleBatches(self._at, self._manifest, split, 1)
        source.rows(np.asarray(indices), images)
        source.close()
        return images
