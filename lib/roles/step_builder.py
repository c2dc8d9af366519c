"""Build the training step of a replica, and choose which one."""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from ..config.schema import Config
from ..data.augment.transform import Transform
from ..data.dataset import DataSet
from ..exchange.base import Exchange
from ..models.losses import HEAD_WEIGHTS
from ..models.registry import model_spec
from ..models.spec import ModelSpec
from ..training.adaptive import Squares
from ..training.compilation import Compilation, decide
from ..training.flat import FlatParameters
from ..training.optimizer import Optimizer
from ..training.plain_step import PlainStep
from ..training.step import Step
from ..training.sync import SyncStrategy
from ..training.weight_average import AveragedOverTime
from .optimizer_builder import fused_optimizer, plain_optimizer
from .sync_builder import build_sync

if TYPE_CHECKING:  # needs Triton, which is not installed everywhere
    from ..training.captured_step import CapturableNetwork
    from .split_builder import Split

StepKind = Literal["plain", "fused", "autograd"]
"""PlainStep, or CapturedStep of a network with kernels of its own, or of any network by autograd"""

# Segments of gradients that are averaged while the backward pass continues.
_SEGMENT_BYTES = 16 << 20

MAX_FUSED_BATCH = 4096
"""largest batch of the custom kernels, which index a layer with 32 bits: AlexNet has up to 290,400 numbers an image"""


def step_kind(config: Config, device: torch.device, exchange: Exchange) -> StepKind:
    """Return which step computes the network of ``config``: the fastest one that can."""
    parallel = config.model.parallel
    if why_not_captured(device) or parallel == "towers" or (parallel != "none" and not exchange.capturable):
        return "plain"
    return "autograd" if why_not_fused(config) else "fused"


def why_not_captured(device: torch.device) -> str:
    """Return why ``CapturedStep`` cannot run; empty if it can."""
    reasons = {
        "it needs a GPU": device.type != "cuda",
        "Triton is not installed": not importlib.util.find_spec("triton"),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def why_not_fused(config: Config) -> str:
    """Return why the network's own kernels cannot compute this training; empty if they can."""
    reasons = {
        "compute.fused is false": not config.compute.fused,
        "compute.deterministic is true": config.compute.deterministic,
        f"{config.model.name} has no kernels of its own": not model_spec(config.model.name).fused,
        f"batch_size is more than {MAX_FUSED_BATCH}": config.batch_size > MAX_FUSED_BATCH,
        "optimizer.accumulate is not 1": config.optimizer.accumulate != 1,
        f"optimizer.name {config.optimizer.name} has no kernel": config.optimizer.of_torch,
        "model.freeze names parts": bool(config.model.freeze),
        "model.activation is not relu": config.model.activation != "relu",
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


@dataclass(frozen=True, kw_only=True)
class StepParts:
    """What a step is made of."""

    config: Config
    data: DataSet
    model: nn.Module
    flat: FlatParameters
    transform: Transform
    frozen_norms: Sequence[nn.Module]
    dtype: torch.dtype
    exchange: Exchange
    class_weights_K: Tensor | None
    split: "Split | None"
    patient: Callable[[str], None]
    """called with what is done before it takes long"""

    @property
    def spec(self) -> ModelSpec:
        """The network's entry in the registry."""
        return model_spec(self.config.model.name)

    @property
    def squares(self) -> Squares | None:
        """What adds up squares of shares of tensors, where the optimizer needs their norms."""
        return self.split.squares if self.split else None

    def sync(self, optimizer: Optimizer) -> SyncStrategy:
        """Return the strategy that averages the replicas, around ``optimizer``."""
        config, ema = self.config, self.config.model.ema
        if self.split:
            sync = self.split.sync(optimizer)
        else:
            clip_norm = config.optimizer.clip_norm
            sync = build_sync(config.exchange, optimizer, self.flat, self.exchange, config.world_size, clip_norm)
        return AveragedOverTime(sync, optimizer, self.flat, ema) if ema else sync


def build_step(parts: StepParts, kind: StepKind) -> tuple[Step, SyncStrategy, str]:
    """Return the step, how replicas are averaged in it, and what is said of it to people."""
    builders = {"plain": _plain_step, "fused": _fused_step, "autograd": _autograd_step}
    step, sync, note = builders[kind](parts)
    return step, sync, note + update_note(parts.config)


def _plain_step(parts: StepParts) -> tuple[Step, SyncStrategy, str]:
    config = parts.config
    optimizer = plain_optimizer(parts.flat, config.optimizer, parts.squares)
    sync = parts.sync(optimizer)
    compiled = config.compute.compile == "always"
    step = PlainStep(
        parts.model,
        parts.flat,
        loss=partial(parts.spec.loss_function(), class_weights_K=parts.class_weights_K),
        label_smoothing=config.optimizer.label_smoothing,
        transform=parts.transform,
        optimizer=optimizer,
        sync=sync,
        dtype=parts.dtype,
        compiled=compiled,
        frozen_norms=parts.frozen_norms,
        collective=parts.split is not None,
    )
    return step, sync, "compiled" if compiled else "not compiled"


def _fused_step(parts: StepParts) -> tuple[Step, SyncStrategy, str]:
    flat, weights = parts.flat, parts.flat.parameters.to(parts.dtype)
    build = parts.spec.fused_network()
    views = flat.views(weights), flat.views(flat.gradients)
    classifier = (parts.split.fused_classifier(*views),) if parts.split else ()
    network = build(parts.model, parts.transform.crop, *views, *classifier)

    @contextmanager
    def building() -> Iterator[None]:
        parts.patient("compiling kernels")
        yield

    step, sync = _captured_step(parts, network, weights, building)
    return step, sync, "with fused kernels"


def _autograd_step(parts: StepParts) -> tuple[Step, SyncStrategy, str]:
    from ..training.autograd_network import AutogradNetwork  # noqa: PLC0415  needs Triton

    compilation = _compilation(parts)
    weights = parts.flat.parameters.to(parts.dtype)
    network = AutogradNetwork(
        parts.model,
        parts.flat,
        weights,
        crop=parts.transform.crop,
        frozen_norms=parts.frozen_norms,
        compiled=compilation.compiled,
        segment_bytes=_SEGMENT_BYTES,
    )

    @contextmanager
    def building() -> Iterator[None]:
        parts.patient("compiling the network (compute.compile)" if compilation.compiled else "capturing the step")
        with compilation.timed():
            yield

    step, sync = _captured_step(parts, network, weights, building)
    return step, sync, compilation.note


def _captured_step(
    parts: StepParts,
    network: "CapturableNetwork",
    weights: Tensor,
    building: Callable[[], AbstractContextManager[None]],
) -> tuple[Step, SyncStrategy]:
    # Imported here: it needs Triton, which is not installed everywhere.
    from ..training.captured_step import CapturedStep  # noqa: PLC0415

    config = parts.config
    optimizer = fused_optimizer(parts.flat, weights, config.optimizer, parts.squares)
    sync = parts.sync(optimizer)
    step = CapturedStep(
        network,
        parts.flat,
        batch_size=config.batch_size,
        head_weights=HEAD_WEIGHTS[parts.spec.loss],
        label_smoothing=config.optimizer.label_smoothing,
        transform=parts.transform,
        optimizer=optimizer,
        sync=sync,
        dtype=parts.dtype,
        accumulates=config.optimizer.accumulate > 1,
        class_weights_K=parts.class_weights_K,
        building=building,
    )
    return step, sync


def update_note(config: Config) -> str:
    """Return what is unusual about the update, for people."""
    notes = {
        f", updated by torch.optim.{config.optimizer.name}, slower than sgd, adamw, radam and lamb": (
            config.optimizer.of_torch
        ),
        f", averaged over time (model.ema {config.model.ema:g}): that is validated and saved": config.model.ema > 0,
    }
    return "".join(note for note, holds in notes.items() if holds)


def _compilation(parts: StepParts) -> Compilation:
    """Return whether the network is compiled: that depends on how long it is trained, and was computed before."""
    config, data, device = parts.config, parts.data, parts.flat.state.device
    iterations = config.run.n_epochs * -(-data.count("train") // (config.batch_size * config.world_size))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    network = f"{config.model.name} {config.model.variant} {config.model.freeze}"
    sizes = f"{network} {data.n_classes} {parts.transform.crop} {config.batch_size} {parts.dtype} {name}"
    return decide(config.compute, sizes, iterations)
