"""A replica: one network on one device, with its update rule, and the two things done with a batch."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from lib import chance
from lib.config import Config
from lib.data.data_set import DataSet, read_mean_image
from lib.data.transform import Transform
from lib.data.upload import Batch
from lib.exchange.base import Exchange
from lib.exchange.flat import Flat
from lib.metrics import Meter
from lib.models.registry import model_spec
from lib.optimizer import MomentumSGD


class Replica:
    """The network of ``config.model`` for the data set ``data``, its shared numbers held by ``exchange``."""

    def __init__(
        self,
        config: Config,
        data: DataSet,
        device: torch.device,
        dtype: torch.dtype,
        exchange: Exchange,
    ) -> None:
        spec = model_spec(config.model.name)
        self.crop = spec.crop_of(data.img_size)
        torch.manual_seed(config.run.seed)  # all replicas begin equal
        self.model = spec.build(data.n_classes, self.crop).to(device)
        self.flat = Flat(self.model, exchange.allocate)
        self.device = device
        self._optimizer = MomentumSGD(self.flat, config.optimizer)
        self._seed = config.run.seed
        self._transform = Transform(config.views, read_mean_image(data), self.crop, device)
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

    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and the sum of the losses, both float32."""
        images_BCHW = self._transform(batch.images_BHWC, batch.views_BV)
        with self._autocast:
            logits_BK = self.model(images_BCHW).float()
        return logits_BK, functional.cross_entropy(logits_BK, batch.labels_B, reduction="sum")
