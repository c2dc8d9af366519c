"""A replica: one network on one device, with its update rule, and the two things done with a batch."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from lib import chance
from lib.config import Config
from lib.data.layout import Layout, Manifest, read_mean
from lib.data.upload import Batch
from lib.data.views import apply_views
from lib.evaluation.crops import log_probabilities
from lib.exchange.base import Exchange
from lib.exchange.flat import Flat
from lib.metrics import Meter
from lib.models.registry import model_spec
from lib.optimizer import MomentumSGD


class Replica:
    """The network of ``config.model`` for the data set of ``manifest``, its shared numbers held by ``exchange``."""

    def __init__(
        self,
        config: Config,
        at: Layout,
        manifest: Manifest,
        device: torch.device,
        dtype: torch.dtype,
        exchange: Exchange,
    ) -> None:
        spec = model_spec(config.model.name)
        self.crop = spec.crop_of(manifest.img_size)
        torch.manual_seed(config.run.seed)  # all replicas begin equal
        self.model = spec.build(manifest.n_classes, self.crop).to(device)
        self.flat = Flat(self.model, exchange.allocate)
        self.device = device
        self._optimizer = MomentumSGD(self.flat, config.optimizer)
        self._seed = config.run.seed
        self._mean_HWC = torch.from_numpy(read_mean(at, manifest).transpose(1, 2, 0).copy()).to(device)
        self._autocast = torch.autocast(device.type, dtype, enabled=dtype != torch.float32)

    def train_step(self, batch: Batch, meter: Meter, *, rate: float, share: float, key: tuple[int, int, int]) -> None:
        """One update from one batch.

        ``share`` weighs this worker's summed loss so that the average over workers is the mean over all their
        images: workers / images of all workers. ``key`` is (epoch, iteration, rank): dropout follows from it.
        """
        self.model.train()
        torch.manual_seed(chance.torch_seed(chance.Stream.DROPOUT, self._seed, *key))
        self.flat.gradients.zero_()
        if len(batch.labels_B):
            logits_BK, loss = self._forward(batch)
            (loss * share).backward()
            meter.add(logits_BK.detach(), batch.labels_B, loss, iteration=key[1])
        self._optimizer.step(rate)

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Batch], meter: Meter) -> None:
        """Count loss and errors over ``batches``, dropout off."""
        self.model.eval()
        for batch in batches:
            if len(batch.labels_B):
                logits_BK, loss = self._forward(batch)
                meter.add(logits_BK, batch.labels_B, loss, iteration=0)

    @torch.no_grad()
    def log_probabilities(self, batch: Batch, views_V3: Tensor) -> Tensor:
        """Of each image's mean probabilities over these views instead of its own, float64 (B, K); dropout off."""
        self.model.eval()
        return log_probabilities(
            lambda views_B3: self._forward(batch._replace(views_B3=views_B3))[0], views_V3, len(batch.labels_B)
        )

    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and the sum of the losses, both float32."""
        images_BCHW = apply_views(batch.images_BHWC, self._mean_HWC, batch.views_B3, self.crop)
        with self._autocast:
            logits_BK = self.model(images_BCHW).float()
        return logits_BK, functional.cross_entropy(logits_BK, batch.labels_B, reduction="sum")
