"""The state of a replica as that of the whole network: what checkpoints hold, and what all replicas have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..exchange.base import Exchange
from .flat import FlatParameters
from .torch_optimizer import broadcast_state
from .weight_average import averages


@dataclass(frozen=True)
class SavedTensors:
    """Parameters and buffers, and the momentum of what is trained, of a whole network, by name.

    ``slots`` are what else the optimizer keeps of each parameter, and ``other`` what one of ``torch.optim`` keeps.
    """

    parameters: dict[str, Tensor]
    momentum: dict[str, Tensor]
    slots: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    other: dict[str, dict[str, Any]] = field(default_factory=dict)

    def map(self, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> "SavedTensors":
        """Return these with ``change`` of the tensors by name, of each kind."""
        slots = {name: change(slot) for name, slot in self.slots.items()}
        other = {name: dict(values) for name, values in self.other.items()}
        for kind in dict.fromkeys(kind for values in other.values() for kind in values):
            tensors = {name: values[kind] for name, values in other.items() if isinstance(values.get(kind), Tensor)}
            for name, tensor in change(tensors).items():
                other[name][kind] = tensor
        return SavedTensors(change(self.parameters), change(self.momentum), slots, other)


class ReplicaState(Protocol):
    """A replica's parameters, buffers and momentum."""

    @property
    def whole(self) -> SavedTensors:
        """The whole network's tensors; only their shapes, on the meta device, if other workers own some of them."""

    @property
    def n_parameters(self) -> int:
        """Number of parameters of the whole network."""

    @property
    def replicated(self) -> list[Tensor]:
        """All memory in which replicas are equal, momentum included."""

    @property
    def trained(self) -> list[Tensor]:
        """The part of ``replicated`` that training changes."""

    def finite(self) -> bool:
        """Return whether all weights and momentum are finite, the same on all workers, who all call this."""

    def collect(self, *, writes: bool) -> SavedTensors | None:
        """Return a copy of all tensors on the CPU to the worker that ``writes``. All workers call this."""

    def load(self, saved: SavedTensors) -> None:
        """Take over ``saved``, on worker 0; others get their part in ``distribute``. What it lacks stays as it is."""

    def distribute(self, exchange: Exchange) -> None:
        """Make worker 0's state that of all. All workers call this."""

    @property
    def norms(self) -> list[Tensor]:
        """The running statistics that an evaluation uses. Read within ``SyncStrategy.synchronized``."""

    def average_norms(self, exchange: Exchange) -> None:
        """Make ``norms``, which each worker has changed, their mean on all workers, who all call this."""

    def unsplit(self) -> nn.Module:
        """Return the whole network, to change its weights; ``take`` them afterwards. On worker 0 only."""

    def take(self, model: nn.Module) -> None:
        """Take over the weights of what ``unsplit`` returned."""


class WholeState:
    """``ReplicaState`` of a worker that has the whole network: ``model``, whose tensors are views of ``flat``."""

    def __init__(self, model: nn.Module, flat: FlatParameters) -> None:
        self._model, self._flat = model, flat

    @property
    def whole(self) -> SavedTensors:
        return tensors_of(self._model, self._flat)

    @property
    def n_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self._model.parameters())

    @property
    def replicated(self) -> list[Tensor]:
        return self._flat.blocks

    @property
    def trained(self) -> list[Tensor]:
        return [self._flat.state]

    def finite(self) -> bool:
        return bool(torch.isfinite(self._flat.state).all())

    def collect(self, *, writes: bool) -> SavedTensors | None:
        return self.whole.map(_copied) if writes else None

    def load(self, saved: SavedTensors) -> None:
        self._model.load_state_dict(saved.parameters)  # copies in place: views stay views
        load_slots(saved, self._model, self._flat)
        if self._flat.other_state:
            self._flat.other_state.load_state(saved.other)

    def distribute(self, exchange: Exchange) -> None:
        broadcast(self.replicated, exchange)
        if other := self._flat.other_state:
            other.load_state(broadcast_state(other.state(), self._flat.momentum, exchange))

    @property
    def norms(self) -> list[Tensor]:
        return [self._flat.buffers]

    def average_norms(self, exchange: Exchange) -> None:
        exchange.all_reduce_mean(self._flat.buffers)

    def unsplit(self) -> nn.Module:
        return self._model

    def take(self, model: nn.Module) -> None:
        self._flat.restart_copies()  # it is the model of this replica


def tensors_of(model: nn.Module, flat: FlatParameters) -> SavedTensors:
    """Return what a checkpoint holds of ``model``, whose tensors are views of ``flat``.

    The model holds the average over time, if there is one, and so do the parameters of the checkpoint. The weights
    in training, which lie in its place, are saved as ``trained``.
    """
    slots = {name: flat.views(slot) for name, slot in flat.slots.items() if name != "average"}
    trained = averages(flat)
    slots |= {"trained": trained} if trained else {}
    other = flat.other_state.state() if flat.other_state else {}
    return SavedTensors(model.state_dict(), flat.momentum_of, slots, other)


def load_slots(saved: SavedTensors, model: nn.Module, flat: FlatParameters) -> None:
    """Load momentum and slots, after the parameters of ``saved`` have been loaded."""
    flat.restart_copies()
    load_parts(saved.slots.get("trained", {}), model.state_dict())
    load_parts(saved.momentum, flat.momentum_of)
    for name, slot in flat.slots.items():
        load_parts(saved.slots.get(name, {}), flat.views(slot))


def broadcast(blocks: list[Tensor], exchange: Exchange) -> None:
    """Copy worker 0's ``blocks`` to all workers, and verify them."""
    for block in blocks:
        exchange.broadcast(block)
        exchange.verify(block)  # the only time for frozen parameters: training does not change them


@torch.no_grad()
def load_parts(saved: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> None:
    """Copy what was saved of each parameter; one that was frozen then has nothing, and keeps what it begins with."""
    for name, target in targets.items():
        if name in saved:
            target.copy_(saved[name])


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors to the CPU, each into its own memory: a view of the flat state would be saved with all of it.

    From a GPU they go into page-locked memory, which torch keeps for the next time: that takes a thirtieth of the time.
    """
    copies = {name: tensor.detach().to("cpu", non_blocking=True, copy=True) for name, tensor in tensors.items()}
    if any(tensor.is_cuda for tensor in tensors.values()):
        torch.cuda.synchronize()
    return copies
