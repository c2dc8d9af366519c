"""Build a worker's replica from the configuration."""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..config.schema import Config, ExchangeConfig, ModelConfig
from ..data.augment.transform import Transform
from ..data.dataset import DataSet, read_mean_image
from ..exchange.base import Exchange
from ..models.losses import HEAD_WEIGHTS
from ..models.registry import model_spec
from ..models.spec import ModelSpec
from ..training.average_gradients import AverageGradients
from ..training.compilation import Compilation, decide
from ..training.fine_tuning import freeze
from ..training.flat import FlatParameters
from ..training.optimizer import LinearOptimizer, Optimizer
from ..training.periodic_sync import Elastic, LocalSGD, moving_rate
from ..training.plain_step import PlainStep
from ..training.replica import Replica
from ..training.replica_state import WholeState
from ..training.step import Step
from ..training.sync import AverageWeights, SyncStrategy
from ..training.weight_average import AveragedOverTime
from .optimizer_builder import fused_optimizer, plain_optimizer, slots

if TYPE_CHECKING:  # needs Triton, which is not installed everywhere
    from ..training.captured_step import CapturableNetwork
    from .split_builder import Split

# Segments of gradients that are averaged while the backward pass continues.
_SEGMENT_BYTES = 16 << 20

MAX_FUSED_BATCH = 4096
"""largest batch of the custom kernels, which index a layer with 32 bits: AlexNet has up to 290,400 numbers an image"""


def _ignore(_: str) -> None:
    pass


def build_replica(
    config: Config,
    data: DataSet,
    device: torch.device,
    dtype: torch.dtype,
    exchange: Exchange,
    patient: Callable[[str], None] = _ignore,
    *,
    mean_CHW: NDArray[np.float32] | None = None,
    crop: int | None = None,
    class_weights_K: Tensor | None = None,
) -> Replica:
    """Return the network of ``config.model`` for ``data`` on ``device``, computing in ``dtype``.

    Its shared memory is allocated by ``exchange``. Called by all workers. ``class_weights_K`` weighs the loss.
    ``patient(what)`` is called before the step does something slow: compiling and capturing. For an evaluation,
    ``mean_CHW`` replaces the mean image of the data set, and ``crop`` the side of the network's input.
    """
    spec = model_spec(config.model.name)
    crop = crop or spec.crop_of(data.img_size, config.model.variant)

    new_network = partial(build_network, spec, data.n_classes, crop, config.model, config.run.seed)
    model, split = new_network(), config.model.parallel != "none"
    if split:
        from .split_builder import split_network  # noqa: PLC0415  (imports the compiler, which takes seconds)

        model = split_network(config, model, exchange, device, dtype, crop)
    model = model.to(device)
    frozen_norms = freeze(model, config.model.freeze)
    mean_CHW = read_mean_image(data) if mean_CHW is None else mean_CHW
    transform = Transform(config.augment, config.normalize, mean_CHW, crop, device)
    plain = bool(why_not_captured(device)) or (split and not exchange.capturable) or config.model.parallel == "towers"
    # Plain autograd accumulates in float32, as does the captured step where several batches make an update.
    float32 = plain or config.optimizer.accumulate > 1 or config.optimizer.of_torch
    gradient_dtype = torch.float32 if float32 else dtype

    def allocate_gradients(numel: int) -> Tensor:
        if config.exchange.replicas_differ:  # those are not exchanged
            return torch.zeros(numel, dtype=gradient_dtype, device=device)
        return exchange.allocate(numel, gradient_dtype)

    fused = not plain and not why_not_fused(config)
    channels_last = not plain and not fused
    flat = FlatParameters(
        model,
        exchange.allocate,
        allocate_gradients,
        frozen_norms,
        channels_last=channels_last,
        slots=slots(config.optimizer, config.model.ema),
    )
    weights_K = None if class_weights_K is None else class_weights_K.to(device)
    own = None
    if split:
        from .split_builder import Split  # noqa: PLC0415

        own = Split(model, flat, exchange, new_network, dtype)
    parts = _Parts(config, spec, model, flat, transform, frozen_norms, dtype, exchange, weights_K, own)
    if plain:
        step, sync, note = _plain_step(parts)
    elif fused:
        step, sync, note = _fused_step(parts, patient)
    else:
        iterations = config.run.n_epochs * -(-data.count("train") // (config.batch_size * config.world_size))
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        network = f"{config.model.name} {config.model.variant} {config.model.freeze}"
        sizes = f"{network} {data.n_classes} {crop} {config.batch_size} {dtype} {name}"
        step, sync, note = _autograd_step(parts, decide(config.compute, sizes, iterations), patient)
    return Replica(
        model=model,
        flat=flat,
        state=own.state if own else WholeState(model, flat),
        step=own.step(step) if own else step,
        sync=sync,
        transform=transform,
        device=device,
        crop=crop,
        fused=fused,
        note=note + update_note(config) + (own.note if own else ""),
        split=own.description if own else "",
    )


def build_network(spec: ModelSpec, n_classes: int, crop: int, config: ModelConfig, seed: int) -> nn.Module:
    """Return the new network, equal for equal ``seed``."""
    torch.manual_seed(seed)
    network: nn.Module = spec.build(n_classes, crop, config.init, config.variant)
    return network


@dataclass(frozen=True)
class _Parts:
    """What a step is made of."""

    config: Config
    spec: ModelSpec
    model: nn.Module
    flat: FlatParameters
    transform: Transform
    frozen_norms: Sequence[nn.Module]
    dtype: torch.dtype
    exchange: Exchange
    class_weights_K: Tensor | None
    split: "Split | None"

    def sync(self, optimizer: Optimizer) -> SyncStrategy:
        config = self.config
        clip_norm = config.optimizer.clip_norm
        flat = self.split.replicated_flat if self.split else self.flat
        sync = build_sync(config.exchange, optimizer, flat, self.exchange, config.world_size, clip_norm)
        if self.split:
            return self.split.sync(optimizer, sync)
        ema = config.model.ema
        return AveragedOverTime(sync, optimizer, self.flat, ema) if ema else sync


def _plain_step(parts: _Parts) -> tuple[Step, SyncStrategy, str]:
    config = parts.config
    optimizer = plain_optimizer(parts.flat, config.optimizer)
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


def _fused_step(parts: _Parts, patient: Callable[[str], None]) -> tuple[Step, SyncStrategy, str]:
    flat, weights = parts.flat, parts.flat.parameters.to(parts.dtype)
    build = parts.spec.fused_network()
    views = flat.views(weights), flat.views(flat.gradients)
    classifier = (parts.split.fused_classifier(*views),) if parts.split else ()
    network = build(parts.model, parts.transform.crop, *views, *classifier)

    @contextmanager
    def building() -> Iterator[None]:
        patient("compiling kernels")
        yield

    step, sync = _captured_step(parts, network, weights, building)
    return step, sync, "with fused kernels"


def _autograd_step(
    parts: _Parts, compilation: Compilation, patient: Callable[[str], None]
) -> tuple[Step, SyncStrategy, str]:
    from ..training.autograd_network import AutogradNetwork  # noqa: PLC0415  needs Triton

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
        patient("compiling the network (compute.compile)" if compilation.compiled else "capturing the step")
        with compilation.timed():
            yield

    step, sync = _captured_step(parts, network, weights, building)
    return step, sync, compilation.note


def _captured_step(
    parts: _Parts, network: "CapturableNetwork", weights: Tensor, building: Callable[[], AbstractContextManager[None]]
) -> tuple[Step, SyncStrategy]:
    # Imported here: it needs Triton, which is not installed everywhere.
    from ..training.captured_step import CapturedStep  # noqa: PLC0415

    config = parts.config
    optimizer = fused_optimizer(parts.flat, weights, config.optimizer)
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


def build_sync(
    config: ExchangeConfig,
    optimizer: Optimizer,
    flat: FlatParameters,
    exchange: Exchange,
    world_size: int,
    clip_norm: float = 0.0,
) -> SyncStrategy:
    """Return the strategy that ``exchange.rule``, ``every``, ``alpha`` and ``what`` ask for."""
    if world_size == 1 or not config.replicas_differ:
        weights = config.what == "weights"
        if weights and not clip_norm and isinstance(optimizer, LinearOptimizer):
            return AverageWeights(optimizer, flat, exchange)
        exact = weights and world_size > 1 and flat.gradients.dtype != torch.float32
        mean = exchange.allocate(len(flat.gradients)) if exact else None
        return AverageGradients(optimizer, flat, exchange, mean=mean, clip_norm=clip_norm)
    if config.rule == "average":
        return LocalSGD(optimizer, flat, exchange, config.every)
    alpha = moving_rate(config, world_size)
    return Elastic(optimizer, flat, exchange, every=config.every, alpha=alpha, world_size=world_size)


def update_note(config: Config) -> str:
    """Return what is unusual about the update, for people."""
    notes = {
        f", updated by torch.optim.{config.optimizer.name}, slower than sgd, adamw, radam and lamb": (
            config.optimizer.of_torch
        ),
        f", averaged over time (model.ema {config.model.ema:g}): that is validated and saved": config.model.ema > 0,
    }
    return "".join(note for note, holds in notes.items() if holds)


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
