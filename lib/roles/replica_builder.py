"""Build a worker's replica from the configuration."""

import importlib.util

import torch
from torch import Tensor, nn

from lib.config.schema import Config, ExchangeConfig
from lib.data.augment.transform import Transform
from lib.data.dataset import DataSet, read_mean_image
from lib.exchange.base import Exchange
from lib.models.registry import model_spec
from lib.training.fine_tuning import freeze
from lib.training.flat import FlatParameters
from lib.training.optimizer import MomentumSGD, Optimizer
from lib.training.periodic_sync import Elastic, LocalSGD, moving_rate
from lib.training.plain_step import PlainStep
from lib.training.replica import Replica
from lib.training.sync import EVERY_UPDATE, SyncStrategy

MAX_FUSED_BATCH = 4096
"""largest batch of the custom kernels, which index a layer with 32 bits: AlexNet has up to 290,400 numbers an image"""


def build_replica(
    config: Config, data: DataSet, device: torch.device, dtype: torch.dtype, exchange: Exchange
) -> Replica:
    """Return the network of ``config.model`` for ``data`` on ``device``, computing in ``dtype``.

    Its shared memory is allocated by ``exchange``. Called by all workers.
    """
    spec = model_spec(config.model.name)
    crop = spec.crop_of(data.img_size)
    torch.manual_seed(config.run.seed)  # all replicas begin equal
    model: nn.Module = spec.build(data.n_classes, crop, config.model.init).to(device)
    frozen_norms = freeze(model, config.model.freeze)
    transform = Transform(config.augment, config.normalize, read_mean_image(data), crop, device)
    why_plain = why_not_fused(config, device)
    gradient_dtype = torch.float32 if why_plain else dtype  # autograd accumulates in float32

    def allocate_gradients(numel: int) -> Tensor:
        if config.exchange.averaged == "gradients":
            return exchange.allocate(numel, gradient_dtype)
        return torch.zeros(numel, dtype=gradient_dtype, device=device)

    flat = FlatParameters(model, exchange.allocate, allocate_gradients, frozen_norms)
    if why_plain:
        optimizer = MomentumSGD(flat, config.optimizer)
        sync = build_sync(config.exchange, optimizer, flat, exchange, config.world_size)
        step = PlainStep(
            model,
            flat,
            loss=spec.loss_function(),
            label_smoothing=config.optimizer.label_smoothing,
            transform=transform,
            optimizer=optimizer,
            sync=sync,
            dtype=dtype,
            compiled=config.compute.compile,
            frozen_norms=frozen_norms,
        )
        return Replica(model=model, flat=flat, step=step, sync=sync, device=device, crop=crop, why_plain=why_plain)
    # Imported here: they need Triton, which is not installed everywhere.
    from lib.training.fused_optimizer import FusedSGD  # noqa: PLC0415
    from lib.training.fused_step import FusedStep  # noqa: PLC0415

    copy = flat.parameters.to(dtype)
    fused_optimizer = FusedSGD(flat, copy, config.optimizer)
    sync = build_sync(config.exchange, fused_optimizer, flat, exchange, config.world_size)
    fused_step = FusedStep(
        spec.fused_network()(model, crop, flat.views(copy), flat.views(flat.gradients)),
        flat,
        batch_size=config.batch_size,
        label_smoothing=config.optimizer.label_smoothing,
        transform=transform,
        optimizer=fused_optimizer,
        sync=sync,
        dtype=dtype,
    )
    return Replica(model=model, flat=flat, step=fused_step, sync=sync, device=device, crop=crop)


def build_sync(
    config: ExchangeConfig, optimizer: Optimizer, flat: FlatParameters, exchange: Exchange, world_size: int
) -> SyncStrategy:
    """Return the strategy that ``exchange.rule``, ``every``, ``alpha`` and ``what`` ask for."""
    if world_size == 1 or not config.replicas_differ:
        return EVERY_UPDATE[config.averaged](optimizer, flat, exchange)
    if config.rule == "average":
        return LocalSGD(optimizer, flat, exchange, config.every)
    alpha = moving_rate(config, world_size)
    return Elastic(optimizer, flat, exchange, every=config.every, alpha=alpha, world_size=world_size)


def why_not_fused(config: Config, device: torch.device) -> str:
    """Return why ``FusedStep`` cannot compute this training; empty if it can."""
    reasons = {
        "it needs a GPU": device.type != "cuda",
        "compute.fused is false": not config.compute.fused,
        "compute.deterministic is true": config.compute.deterministic,
        f"{config.model.name} has no kernels of its own": not model_spec(config.model.name).fused,
        f"batch_size is more than {MAX_FUSED_BATCH}": config.batch_size > MAX_FUSED_BATCH,
        "optimizer.accumulate is not 1": config.optimizer.accumulate != 1,
        "model.freeze names parts": bool(config.model.freeze),
        "Triton is not installed": importlib.util.find_spec("triton") is None,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")
