"""The state of a replica whose classifier is split: gathered for checkpoints and validation, cut when it is loaded."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from ..exchange.activations import bytes_of
from ..exchange.base import Exchange
from .flat import FlatParameters
from .owned import OwnedParts
from .replica_state import SavedTensors, broadcast, load_slots, tensors_of
from .shares import Shares
from .split_classifier import SplitNetwork
from .torch_optimizer import broadcast_state

_CHUNK_BYTES = 8 << 20


class Gathering:
    """Gathers whole tensors from the rows that each worker owns, chunk by chunk."""

    def __init__(self, exchange: Exchange, shares: Shares) -> None:
        self._shares, self._turn = shares, 0
        # Used in turns: see lib.exchange.activations.
        self._activations = [exchange.open_activations(_CHUNK_BYTES) for _ in range(2)]

    def gather(self, own: Tensor, target: Tensor | None) -> None:
        """Write the rows of all workers to ``target`` (O, ...), of any dtype and device; None only sends its own rows.

        ``own`` is this worker's share (width, ...) of each such tensor. All workers call this.
        """
        flat, row = own.detach().reshape(-1), own[0].numel() if len(own) else 1
        size = _CHUNK_BYTES // own.itemsize
        for start in range(0, len(flat), size):
            (pieces,) = self._activations[self._turn].all_gather(flat[start : start + size])
            self._turn = 1 - self._turn
            if target is not None:
                for piece, columns in zip(pieces, self._shares.columns(len(target)), strict=True):
                    first, length = columns.start * row + start, max(0, len(columns) * row - start)
                    target.view(-1)[first : first + min(length, len(piece))].copy_(piece[:length])


class SplitState:
    """``ReplicaState`` of a worker that has its share of ``model.owned``, and the rest of ``model``."""

    def __init__(
        self,
        model: SplitNetwork,
        flat: FlatParameters,
        parts: OwnedParts,
        exchange: Exchange,
        build: Callable[[], nn.Module],
        dtype: torch.dtype,
    ) -> None:
        """``build`` returns the whole network on the CPU, new. Evaluation computes in ``dtype``."""
        self._model, self._flat, self._parts, self._exchange = model, flat, parts, exchange
        self._build, self._dtype = build, dtype
        self._shares = model.classifier.batch.shares
        self._gathering = Gathering(exchange, self._shares)
        norms = [b.shape for b in model.whole.template.buffers() if b.is_floating_point()]
        self._norms = exchange.open_activations(bytes_of(*norms, dtype=torch.float32))
        # Shares are cut from the same numbers on all workers; to be sure, all get theirs from the first.
        self._loaded: SavedTensors | None = SavedTensors(self._named(model.whole.tensors), {})
        self.release_weights()
        self._whole_of_owned = self._named(model.whole.template.state_dict())

    @property
    def whole(self) -> SavedTensors:
        return tensors_of(self._model, self._flat).map(self._whole_like)

    @property
    def n_parameters(self) -> int:
        whole = self.whole.parameters
        return sum(whole[name].numel() for name, _ in self._model.named_parameters())

    @property
    def replicated(self) -> list[Tensor]:
        return [*self.trained, *([self._flat.frozen] if len(self._flat.frozen) else [])]

    @property
    def trained(self) -> list[Tensor]:
        return self._parts.blocks(owned=False)

    def finite(self) -> bool:
        own = bool(torch.isfinite(self._flat.state).all())
        return all(row[0] for row in self._exchange.all_gather([own]))

    def collect(self, *, writes: bool) -> SavedTensors | None:
        whole = tensors_of(self._model, self._flat).map(partial(self._collected, writes=writes))
        return whole if writes else None

    def load(self, saved: SavedTensors) -> None:
        self._loaded = saved

    def unsplit(self) -> nn.Module:
        return self._build()

    def take(self, model: nn.Module) -> None:
        self._loaded = SavedTensors(model.state_dict(), {})

    @torch.no_grad()
    def distribute(self, exchange: Exchange) -> None:
        """Send each worker its share through the memory of its own: the others' are restored afterwards."""
        if exchange.all_gather([self._loaded is not None])[0][0]:
            owned, shares = self._parts.blocks(owned=True), self._shares
            own = [block.clone() for block in owned]
            for rank in reversed(range(shares.world_size)):
                if shares.rank == 0:
                    self._write(rank)
                for block in owned:
                    exchange.broadcast(block)
                if rank == shares.rank:
                    own = [block.clone() for block in owned]
            for block, kept in zip(owned, own, strict=True):
                block.copy_(kept)
            self._distribute_other(exchange)
            self._loaded = None
        broadcast(self.replicated, exchange)

    def _distribute_other(self, exchange: Exchange) -> None:
        """Give each worker its share of what an optimizer of ``torch.optim`` has kept."""
        if self._flat.other_state:
            loaded = self._loaded.other if self._loaded else {}
            whole = SavedTensors({}, {}, other=broadcast_state(loaded, self._flat.momentum, exchange))
            self._flat.other_state.load_state(whole.map(partial(self._cut, rank=self._shares.rank)).other)

    def gather_weights(self) -> None:
        """Give this worker all of what is split, for evaluation. All workers call this."""
        (prefix, module), gathered = self._model.owned, {}
        norms = {n for n, m in module.named_modules() if isinstance(m, nn.BatchNorm1d)}
        for name, own in module.state_dict().items():
            whole = self._whole_of_owned[f"{prefix}{name}"]
            keep = not own.is_floating_point() or name.rpartition(".")[0] in norms
            target = torch.empty(whole.shape, dtype=own.dtype if keep else self._dtype, device=own.device)
            self._gather(own, target)
            gathered[name] = target
        self._model.whole.tensors = gathered

    def release_weights(self) -> None:
        """Free what ``gather_weights`` has gathered."""
        self._model.whole.tensors = {}

    @property
    def norms(self) -> list[Tensor]:
        """See ``ReplicaState``. Each worker evaluates with the whole of what is split."""
        return [self._flat.buffers, *self._whole_norms.values()]

    @torch.no_grad()
    def average_norms(self, exchange: Exchange) -> None:
        if len(self._parts.replicated_buffers):
            exchange.all_reduce_mean(self._parts.replicated_buffers)
        own, wholes = dict(self._model.owned[1].named_buffers()), self._whole_norms
        if wholes:
            (theirs,) = self._norms.all_gather(torch.cat(list(wholes.values())))
            # In the order of the ranks, so that all workers get the same bits.
            means = torch.stack(theirs).mean(0).split([len(whole) for whole in wholes.values()])
            for (name, whole), mean in zip(wholes.items(), means, strict=True):
                whole.copy_(mean)
                own[name].copy_(self._shares.cut(mean))

    @property
    def _whole_norms(self) -> dict[str, Tensor]:
        """The running statistics of all columns, after ``gather_weights``."""
        buffers = self._model.owned[1].named_buffers()
        return {name: self._model.whole.tensors[name] for name, own in buffers if own.is_floating_point()}

    def _gather(self, own: Tensor, target: Tensor | None) -> None:
        if own.ndim:
            self._gathering.gather(own, target)
        elif target is not None:
            target.copy_(own)

    def _collected(self, tensors: Mapping[str, Tensor], *, writes: bool) -> dict[str, Tensor]:
        """Return whole ``tensors`` on the CPU, each in memory of its own, if this worker ``writes``."""
        collected = {}
        for name, own in tensors.items():
            target = torch.empty(self._whole_shape(name, own), dtype=own.dtype) if writes else None
            if name in self._whole_of_owned:
                self._gather(own, target)
            elif target is not None:
                target.copy_(own)
            if target is not None:
                collected[name] = target
        return collected

    def _write(self, rank: int) -> None:
        """Write what was loaded to this worker's memory, with the share of worker ``rank``. See ``WholeState.load``."""
        assert self._loaded is not None
        own = self._loaded.map(partial(self._cut, rank=rank))
        self._model.load_state_dict(own.parameters, strict=False)  # new ones are only of what is split
        load_slots(own, self._model, self._flat)

    def _cut(self, tensors: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
        """Return the share of worker ``rank`` of what is split of ``tensors``, and the rest."""
        return {
            name: self._shares.cut(whole, rank) if name in self._whole_of_owned and whole.ndim else whole
            for name, whole in tensors.items()
        }

    def _whole_like(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: torch.empty(self._whole_shape(name, own), dtype=own.dtype, device="meta")
            for name, own in tensors.items()
        }

    def _whole_shape(self, name: str, own: Tensor) -> torch.Size:
        """Return the shape of the whole of ``own``, which belongs to the parameter or buffer ``name``."""
        return self._whole_of_owned.get(name, own).shape if own.ndim else own.shape

    def _named(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return tensors of what is owned by their names in the network."""
        return {f"{self._model.owned[0]}{name}": tensor for name, tensor in tensors.items()}
