"""A replica: one network on one device, with its update rule, and what is done with a batch."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from lib import chance
from lib.config import Config
from lib.data.data_set import DataSet, read_mean_image
from lib.data.transform import Transform
from lib.data.upload import Batch
from lib.evaluation.crops import log_probabilities
from lib.exchange.base import Exchange
from lib.exchange.flat import Flat
from lib.fine_tuning import freeze
from lib.metrics import Meter
from lib.models.losses import Outputs, cross_entropy, main_logits
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
        self.model: nn.Module = spec.build(data.n_classes, self.crop, config.model.init).to(device)
        self._frozen_norms = freeze(self.model, config.model.freeze)
        self.flat = Flat(self.model, exchange.allocate)
        self.device = device
        self._optimizer = MomentumSGD(self.flat, config.optimizer)
        self._loss: Callable[[Outputs, Tensor, float], Tensor] = spec.loss_function()
        self._label_smoothing = config.optimizer.label_smoothing
        self._seed = config.run.seed
        self._transform = Transform(config.views, read_mean_image(data), self.crop, device)
        self._autocast = torch.autocast(device.type, dtype, enabled=dtype != torch.float32)

    def add_gradients(self, batch: Batch, meter: Meter, *, share: float, key: tuple[int, int, int]) -> None:
        """Add one batch's gradients to those that the next ``update`` uses.

        ``share`` weighs this worker's summed loss so that the average over workers is the mean over all the images
        of the update: workers / images of all workers. ``key`` is (epoch, iteration, rank): dropout follows from it.
        """
        self.model.train()
        for norm in self._frozen_norms:
            norm.eval()
        torch.manual_seed(chance.torch_seed(chance.Stream.DROPOUT, self._seed, *key))
        if len(batch.labels_B):
            outputs = self._forward(batch)
            loss = self._loss(outputs, batch.labels_B, self._label_smoothing)
            (loss * share).backward()
            meter.add(main_logits(outputs).detach(), batch.labels_B, loss, iteration=key[1])

    def update(self, *, rate: float, weight_decay: float) -> None:
        """One update from the gradients added since the last."""
        self._optimizer.step(rate, weight_decay)
        self.flat.gradients.zero_()

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Batch], meter: Meter) -> None:
        """Count loss and errors over ``batches``, dropout off: plain cross-entropy of the main logits."""
        self.model.eval()
        for batch in batches:
            if len(batch.labels_B):
                outputs = self._forward(batch)
                meter.add(main_logits(outputs), batch.labels_B, cross_entropy(outputs, batch.labels_B), iteration=0)

    @torch.no_grad()
    def log_probabilities(self, batch: Batch, views_VV: Tensor) -> Tensor:
        """Of each image's mean probabilities over these views instead of its own, float64 (B, K); dropout off."""
        self.model.eval()
        return log_probabilities(
            lambda views_BV: main_logits(self._forward(batch._replace(views_BV=views_BV))),
            views_VV,
            len(batch.labels_B),
        )

    def _forward(self, batch: Batch) -> Outputs:
        """What the network makes of a batch."""
        images_BCHW = self._transform(batch.images_BHWC, batch.views_BV)
        with self._autocast:
            outputs: Outputs = self.model(images_BCHW)
        return outputs
