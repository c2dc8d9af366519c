"""A replica: one network on one device, with its update rule, and what is done with a batch."""

from collections.abc import Iterable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from lib.config.schema import Config
from lib.data.augment.transform import Transform
from lib.data.dataset import DataSet, read_mean_image
from lib.data.upload import Batch
from lib.evaluation.crops import log_probabilities
from lib.evaluation.metrics import Meter
from lib.exchange.base import Exchange
from lib.models.losses import cross_entropy, main_logits
from lib.models.registry import model_spec
from lib.rng import Stream, torch_seed
from lib.training.averaging import Optimizer
from lib.training.fine_tuning import freeze
from lib.training.flat import Flat
from lib.training.optimizer import MomentumSGD
from lib.training.plain_step import PlainStep
from lib.training.step import Step, why_not_fused
from lib.training.sync import SyncStrategy, build_sync


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
        self._spec = model_spec(config.model.name)
        self._config, self._exchange, self._dtype = config, exchange, dtype
        self.seed = config.run.seed
        """dropout follows from it"""
        self.device, self.crop = device, self._spec.crop_of(data.img_size)
        torch.manual_seed(config.run.seed)  # all replicas begin equal
        self.model: nn.Module = self._spec.build(data.n_classes, self.crop, config.model.init).to(device)
        self._frozen_norms = freeze(self.model, config.model.freeze)
        self.why_not_fused = why_not_fused(config, device)
        """why the step is not computed by kernels made for this network; empty if it is"""
        self.flat = Flat(self.model, exchange.allocate, self._allocate_gradients, self._frozen_norms)
        self._transform = Transform(config.augment, config.normalize, read_mean_image(data), self.crop, device)
        self._step, self._sync = self._plain_step() if self.why_not_fused else self._fused_step()

    def add_gradients(self, batch: Batch, meter: Meter, *, loss_scale: float, key: tuple[int, int, int]) -> None:
        """Let one batch's gradients be part of the next ``update``, and count it.

        ``loss_scale`` weighs this worker's summed loss so that the average over workers is the mean over all the images
        of the update: workers / images of all workers. ``key`` is (epoch, iteration, rank): dropout follows from it.
        """
        seed = torch_seed(Stream.DROPOUT, self.seed, *key)
        self._step.add_gradients(batch, meter, loss_scale=loss_scale, iteration=key[1], seed=seed)

    def update(self, *, rate: float, weight_decay: float) -> None:
        """One update from the gradients added since the last, with whatever exchange ``exchange.rule`` wants."""
        self._step.update(rate=rate, weight_decay=weight_decay)

    def refresh(self) -> None:
        """To be called when others than ``update`` have changed the weights, the same way on all replicas."""
        self._step.refresh()
        self._sync.restart()

    def synchronized(self) -> AbstractContextManager[None]:
        """Within it all replicas are equal: what is validated and saved. Called by all at the same point."""
        return self._sync.synchronized()

    @property
    def in_sync(self) -> bool:
        """Whether replicas have just exchanged, so that one alone may call ``synchronized``."""
        return self._sync.in_sync

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Batch], meter: Meter) -> None:
        """Count loss and errors over ``batches``, dropout off: plain cross-entropy of the main logits."""
        for batch in batches:
            if len(batch.labels_B):
                outputs = self._step.outputs(batch)
                meter.add(main_logits(outputs), batch.labels_B, cross_entropy(outputs, batch.labels_B), iteration=0)

    @torch.no_grad()
    def log_probabilities(self, batch: Batch, params_CV: Tensor) -> Tensor:
        """Of each image's mean probabilities over these views instead of its own, float64 (B, K); dropout off."""
        return log_probabilities(
            lambda params_BV: main_logits(self._step.outputs(batch._replace(params_BV=params_BV))),
            params_CV,
            len(batch.labels_B),
        )

    def _allocate_gradients(self, numel: int) -> Tensor:
        """Memory that others read only where they average gradients; in the type that the network computes in only
        where it writes them by itself.
        """
        dtype = torch.float32 if self.why_not_fused else self._dtype
        if self._config.exchange.averaged == "gradients":
            return self._exchange.allocate(numel, dtype)
        return torch.zeros(numel, dtype=dtype, device=self.device)

    def _plain_step(self) -> tuple[Step, SyncStrategy]:
        config, flat = self._config, self.flat
        optimizer = MomentumSGD(flat, config.optimizer)
        rule = self._build_sync(optimizer)
        step = PlainStep(
            self.model,
            flat,
            loss=self._spec.loss_function(),
            label_smoothing=config.optimizer.label_smoothing,
            transform=self._transform,
            optimizer=optimizer,
            rule=rule,
            dtype=self._dtype,
            compiled=config.compute.compile,
            frozen_norms=self._frozen_norms,
        )
        return step, rule

    def _fused_step(self) -> tuple[Step, SyncStrategy]:
        # Only here: they need Triton, which is not everywhere.
        from lib.training.fused_optimizer import FusedSGD  # noqa: PLC0415
        from lib.training.fused_step import FusedStep  # noqa: PLC0415

        config, flat = self._config, self.flat
        copy = flat.parameters.to(self._dtype)
        optimizer = FusedSGD(flat, copy, config.optimizer)
        network = self._spec.fused_network()(self.model, self.crop, flat.by_name(copy), flat.by_name(flat.gradients))
        rule = self._build_sync(optimizer)
        step = FusedStep(
            network,
            flat,
            batch_size=config.batch_size,
            label_smoothing=config.optimizer.label_smoothing,
            transform=self._transform,
            optimizer=optimizer,
            rule=rule,
            dtype=self._dtype,
        )
        return step, rule

    def _build_sync(self, optimizer: Optimizer) -> SyncStrategy:
        config = self._config
        return build_sync(config.exchange, optimizer, self.flat, self._exchange, config.world_size)
