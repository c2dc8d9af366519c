"""Build a replica whose classifier is split over the workers (model.parallel)."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..config.schema import Config
from ..errors import ConfigError
from ..exchange.base import Exchange
from ..training.flat import FlatParameters
from ..training.optimizer import Optimizer
from ..training.owned import OwnedParts, SplitSync
from ..training.shares import Shares
from ..training.split_classifier import SplitNetwork, check_can_split
from ..training.split_layers import SharedBatch
from ..training.split_norms import SharedSquares
from ..training.split_state import SplitState
from ..training.split_step import SplitStep
from ..training.split_towers import SplitTowers
from ..training.split_update import ClipShares, UpdateAtOnce
from ..training.step import Step
from ..training.sync import SyncStrategy
from .sync_builder import build_sync

if TYPE_CHECKING:  # needs Triton, which is not installed everywhere
    from ..models.fused_classifier import FusedClassifier


def split_network(
    config: Config, model: nn.Module, exchange: Exchange, device: torch.device, dtype: torch.dtype, crop: int
) -> SplitNetwork:
    """Return ``model`` with this worker's share of it. Called by all workers.

    Raises ConfigError if it cannot be split.
    """
    shares = Shares(rank=exchange.rank, world_size=exchange.world_size)
    batch = SharedBatch(shares, config.batch_size, device)
    splittable = check_can_split(config.model.name, model)
    if config.model.parallel == "towers":
        return SplitTowers(splittable, exchange, batch, dtype, crop)
    return SplitNetwork(splittable, exchange, batch, dtype)


class Split:
    """What a replica with a split classifier has in place of the parts of another one."""

    def __init__(
        self,
        config: Config,
        model: nn.Module,
        flat: FlatParameters,
        exchange: Exchange,
        new_network: Callable[[], nn.Module],
        dtype: torch.dtype,
    ) -> None:
        """``model``, from ``split_network``, is trained in ``flat``. ``new_network`` returns the whole one.

        Raises ConfigError if the classifier is frozen.
        """
        assert isinstance(model, SplitNetwork)
        prefix, owned = model.owned
        if any(not parameter.requires_grad for parameter in owned.parameters()):
            raise ConfigError(
                f"model.freeze names parts of {prefix.rstrip('.') or 'the network'}, which model.parallel splits; "
                "freeze parts of features only, with model.parallel classifier, or set model.parallel to none"
            )
        self._classifier, self._batch, self._flat = model.classifier, model.classifier.batch, flat
        self._config, self._parts, self._exchange = config, OwnedParts(model, flat), exchange
        self.squares = SharedSquares(self._parts, exchange) if config.optimizer.name == "lamb" else None
        """what adds up squares of shares of tensors, where the optimizer needs norms of tensors"""
        self.state = SplitState(model, flat, self._parts, exchange, new_network, dtype)
        self._what = prefix.rstrip(".") or "towers"
        self.note = f", {self._what} split over {self._batch.shares.world_size}"

    @property
    def description(self) -> str:
        """What is split, the memory of a worker's parameters, and the bytes that it sends in a step, as one line."""
        flat, shares = self._flat, self._batch.shares
        replicated = sum(part.stop - part.start for part, is_owned in self._parts.cut(flat.whole) if not is_owned)
        whole = sum(tensor.numel() for tensor in self.state.whole.momentum.values())
        per_parameter = 4 * (2 + len(flat.slots)) + flat.gradients.itemsize  # weight, momentum, slots and gradient
        here, unsplit = (per_parameter * count / 1e9 for count in (len(flat.parameters), whole))
        sent = self._classifier.sent_bytes, (shares.world_size - 1) * replicated * flat.gradients.itemsize
        return (
            f"{self._what}, 1/{shares.world_size} a worker; weights, optimizer and gradients take {here:.3f} GB each, "
            f"{unsplit:.3f} GB unsplit; a worker sends up to {sent[0] / 1e6:.1f} MB of activations and "
            f"{sent[1] / 1e6:.1f} MB of gradients a step"
        )

    def sync(self, optimizer: Optimizer) -> SyncStrategy:
        """Return how the replica is updated: its own share by itself, and the rest averaged."""
        config, parts, exchange = self._config, self._parts, self._exchange
        clip_norm = config.optimizer.clip_norm
        if clip_norm or self.squares or not optimizer.capturable:
            optimizer = UpdateAtOnce(optimizer, parts, ClipShares(exchange, clip_norm) if clip_norm else None)
        replicated = build_sync(config.exchange, optimizer, parts.replicated_flat(), exchange, config.world_size)
        return SplitSync(optimizer, parts, replicated, self.state.gather_weights, self.state.release_weights)

    def fused_classifier(self, weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> "FusedClassifier":
        """Return the classifier for a network with kernels of its own, with its parameters by name."""
        from ..training.fused_split import FusedSplitClassifier  # noqa: PLC0415  needs Triton

        return FusedSplitClassifier(self._classifier, weights, gradients)

    def step(self, step: Step) -> SplitStep:
        """Return ``step`` on the batch of all workers."""
        return SplitStep(step, self._batch)
