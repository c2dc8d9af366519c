"""Build the optimizer of ``optimizer.*`` for flat parameters."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from ..config.schema import OptimizerConfig
from ..training.adaptive import ADAPTIVE, Adaptive, Squares
from ..training.flat import FlatParameters
from ..training.lookahead import Lookahead
from ..training.optimizer import MomentumSGD, Optimizer
from ..training.torch_optimizer import TorchOptimizer

PLAIN: dict[str, Callable[[FlatParameters, OptimizerConfig], Optimizer]] = {
    "sgd": MomentumSGD,
    "adamw": Adaptive,
    "radam": Adaptive,
    "lamb": Adaptive,
}
"""by ``optimizer.name``; other names are classes of ``torch.optim``"""


def slots(config: OptimizerConfig, ema: float = 0.0) -> list[str]:
    """Return the slots of ``FlatParameters`` that the optimizer and ``model.ema`` need besides momentum."""
    needed = {"second_moment": config.name in ADAPTIVE, "slow": config.lookahead > 0, "average": ema > 0}
    return [name for name, needs in needed.items() if needs]


def plain_optimizer(flat: FlatParameters, config: OptimizerConfig, squares: Squares | None = None) -> Optimizer:
    """Return the optimizer in plain PyTorch. With ``squares`` it is LAMB, of shares of tensors."""
    build = partial(Adaptive, squares=squares) if squares else PLAIN.get(config.name, TorchOptimizer)
    optimizer: Optimizer = build(flat, config)
    return Lookahead(optimizer, flat, config.lookahead) if config.lookahead else optimizer


def fused_optimizer(
    flat: FlatParameters, copy: Tensor, config: OptimizerConfig, squares: Squares | None = None
) -> Optimizer:
    """Return the optimizer in kernels, which also write the parameters to ``copy`` (N,)."""
    # Imported here: they need Triton, which is not installed everywhere.
    from ..training.fused_adaptive import FusedAdaptive  # noqa: PLC0415
    from ..training.fused_lookahead import FusedLookahead  # noqa: PLC0415
    from ..training.fused_optimizer import FusedSGD  # noqa: PLC0415

    optimizer: Optimizer
    if config.of_torch:
        optimizer = TorchOptimizer(flat, config, copy)
    elif config.name in ADAPTIVE:
        optimizer = FusedAdaptive(flat, copy, config, squares)
    else:
        optimizer = FusedSGD(flat, copy, config)
    return FusedLookahead(optimizer, flat, copy, config.lookahead) if config.lookahead else optimizer
