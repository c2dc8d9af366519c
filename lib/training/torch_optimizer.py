"""Any other optimizer of ``torch.optim``, by the name of its class. Its state lies outside the flat tensors."""

import io
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..config.optimizer_options import parse_optimizer_options
from ..config.schema import OptimizerConfig
from ..errors import ConfigError, first_line
from ..exchange.base import Exchange
from .flat import FlatParameters
from .optimizer import mean_gradient

# LBFGS calls the network itself, and SparseAdam takes sparse gradients only.
_UNUSABLE = {"Optimizer", "LBFGS", "SparseAdam"}


class TorchOptimizer:
    """``Optimizer`` around one of ``torch.optim``, on views of ``flat.parameters``, for all of them at once.

    Gradients are float32. ``copy`` (N,), if there is one, is kept equal to the parameters in its own dtype. Biases and
    norms have learning rate and weight decay as ``optimizer.bias_rate_factor`` and ``optimizer.decayed`` say.
    """

    capturable = False

    def __init__(self, flat: FlatParameters, config: OptimizerConfig, copy: Tensor | None = None) -> None:
        """Raise ConfigError if there is no such class, or if it does not take these options."""
        self._flat, self._config, self._copy = flat, config, copy
        gradients = flat.views(flat.gradients)
        self._named = {name: torch.nn.Parameter(view) for name, view in flat.views(flat.parameters).items()}
        for name, parameter in self._named.items():
            parameter.grad = gradients[name]
        weights, others = (
            [p for p in self._named.values() if (p.ndim > 1) == is_weight] for is_weight in (True, False)
        )
        factors = (1.0, 1.0), (config.bias_rate_factor, float(config.decayed == "all"))
        groups = [(group, of) for group, of in zip((weights, others), factors, strict=True) if group]
        self._optimizer = self._build([group for group, _ in groups])
        self._factors = [of for _, of in groups]
        flat.other_state = self

    def set(self, lr: float, weight_decay: float) -> None:
        for group, (lr_factor, decay_factor) in zip(self._optimizer.param_groups, self._factors, strict=True):
            group["lr"] = lr * lr_factor
            if "weight_decay" in group:
                group["weight_decay"] = weight_decay * decay_factor

    def step(self, segment: slice, gathered: Sequence[Tensor] = ()) -> None:
        if gathered:
            self._flat.gradients.copy_(mean_gradient(self._flat, segment, gathered))
        self._optimizer.step()
        self.refresh(segment)

    def refresh(self, segment: slice) -> None:
        if self._copy is not None:
            self._copy[segment].copy_(self._flat.parameters[segment])

    def state(self) -> dict[str, dict[str, Any]]:
        """Return what torch's optimizer keeps, by the names of parameters."""
        return {name: self._optimizer.state[p] for name, p in self._named.items() if p in self._optimizer.state}

    def load_state(self, state: dict[str, dict[str, Any]]) -> None:
        """Take over what ``state`` returned. Rates and options stay as they are."""
        current = self._optimizer.state_dict()
        numbers = [i for group in current["param_groups"] for i in group["params"]]
        parameters = [p for group in self._optimizer.param_groups for p in group["params"]]
        number_of = {id(p): i for p, i in zip(parameters, numbers, strict=True)}
        by_number = {number_of[id(p)]: state[name] for name, p in self._named.items() if name in state}
        self._optimizer.load_state_dict({"state": by_number, "param_groups": current["param_groups"]})

    def _build(self, groups: list[list[torch.nn.Parameter]]) -> torch.optim.Optimizer:
        name, config = self._config.name, self._config
        kinds: dict[str, Any] = {
            key: kind
            for key, kind in vars(torch.optim).items()
            if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and key not in _UNUSABLE
        }
        if name not in kinds:
            raise ConfigError(
                f"optimizer.name is {name}, which is no class of torch.optim that can be used here; there are "
                f"{', '.join(sorted(kinds))}"
            )
        options = parse_optimizer_options(config.options)
        if config.weight_decay:
            options["weight_decay"] = config.weight_decay
        try:
            made: torch.optim.Optimizer = kinds[name](
                [{"params": group} for group in groups], lr=config.learning_rate, **options
            )
            return made
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"torch.optim.{name} cannot be made with optimizer.options '{config.options}' and weight_decay "
                f"{config.weight_decay:g}: {first_line(error)}; change these"
            ) from None


def broadcast_state(
    state: dict[str, dict[str, Any]], momentum: Tensor, exchange: Exchange
) -> dict[str, dict[str, Any]]:
    """Return ``state`` of worker 0's ``TorchOptimizer`` on all workers. Called by all.

    It travels as bytes through the memory of ``flat.momentum``, which such an optimizer does not use.
    """
    file, room = io.BytesIO(), momentum
    torch.save(state, file)
    own = bytearray(file.getbuffer())
    total, found = int(exchange.all_gather([len(own)])[0][0]), bytearray()
    while len(found) < total:
        part = own[len(found) : len(found) + room.nbytes].ljust(room.nbytes, b"\0")
        room.copy_(torch.frombuffer(part, dtype=torch.float32))
        exchange.broadcast(room)
        found += room.cpu().numpy().tobytes()
    room.zero_()
    received: dict[str, dict[str, Any]] = torch.load(io.BytesIO(found[:total]), weights_only=True)
    return received
