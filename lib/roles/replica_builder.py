"""Build a worker's replica from the configuration."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..config.schema import Config, ModelConfig
from ..data.augment.transform import Transform
from ..data.dataset import DataSet, read_mean_image
from ..exchange.base import Exchange
from ..models.registry import model_spec
from ..models.spec import ModelSpec
from ..training.fine_tuning import freeze
from ..training.flat import FlatParameters
from ..training.replica import Replica
from ..training.replica_state import WholeState
from .optimizer_builder import slots
from .step_builder import StepKind, StepParts, build_step, step_kind


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
    kind = step_kind(config, device, exchange)
    flat = _flat_parameters(config, model, exchange, dtype, frozen_norms, kind)
    own = None
    if split:
        from .split_builder import Split  # noqa: PLC0415

        own = Split(config, model, flat, exchange, new_network, dtype)
    transform = Transform(config.augment, config.normalize, mean_CHW, crop, device)
    parts = StepParts(
        config=config,
        data=data,
        model=model,
        flat=flat,
        transform=transform,
        frozen_norms=frozen_norms,
        dtype=dtype,
        exchange=exchange,
        class_weights_K=None if class_weights_K is None else class_weights_K.to(device),
        split=own,
        patient=patient,
    )
    step, sync, note = build_step(parts, kind)
    return Replica(
        model=model,
        flat=flat,
        state=own.state if own else WholeState(model, flat),
        step=own.step(step) if own else step,
        sync=sync,
        transform=transform,
        device=device,
        crop=crop,
        fused=kind == "fused",
        note=note + (own.note if own else ""),
        split=own.description if own else "",
    )


def build_network(spec: ModelSpec, n_classes: int, crop: int, config: ModelConfig, seed: int) -> nn.Module:
    """Return the new network, equal for equal ``seed``."""
    torch.manual_seed(seed)
    network: nn.Module = spec.build(n_classes, crop, config.init, config.variant)
    return network


def _flat_parameters(
    config: Config,
    model: nn.Module,
    exchange: Exchange,
    dtype: torch.dtype,
    frozen_norms: Sequence[nn.Module],
    kind: StepKind,
) -> FlatParameters:
    # Plain autograd accumulates in float32, as does the captured step where several batches make an update.
    float32 = kind == "plain" or config.optimizer.accumulate > 1 or config.optimizer.of_torch
    gradient_dtype = torch.float32 if float32 else dtype

    def allocate_gradients(numel: int) -> Tensor:
        if config.exchange.replicas_differ:  # those are not exchanged
            return torch.zeros(numel, dtype=gradient_dtype, device=next(model.parameters()).device)
        return exchange.allocate(numel, gradient_dtype)

    return FlatParameters(
        model,
        exchange.allocate,
        allocate_gradients,
        frozen_norms,
        channels_last=kind != "fused",
        slots=slots(config.optimizer, config.model.ema),
    )
