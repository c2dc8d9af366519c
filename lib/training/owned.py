"""Which parts of a worker's flat parameters are its own share of a split classifier, and how they are updated."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

from torch import Tensor

from .flat import FlatParameters
from .optimizer import Optimizer
from .split_classifier import SplitNetwork
from .sync import SyncStrategy


class OwnedParts:
    """The segments of ``flat``, the flat parameters of ``model``, that belong to this worker.

    They are the classifier, if not the whole network. Its parameters come first among the weights, and first among the
    others; its buffers come last.
    """

    def __init__(self, model: SplitNetwork, flat: FlatParameters) -> None:
        self.flat = flat
        prefix, module = model.owned
        parameters = {f"{prefix}{name}": tensor for name, tensor in module.named_parameters()}
        weights = flat.length_of(name for name, tensor in parameters.items() if tensor.ndim > 1)
        others = flat.length_of(parameters) - weights
        self.segments = [slice(0, weights), slice(flat.n_weights, flat.n_weights + others)]
        buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
        self._first_buffer = (
            min(buffer.data_ptr() - flat.buffers.data_ptr() for buffer in buffers) // flat.buffers.itemsize
            if buffers
            else len(flat.buffers)
        )

    def cut(self, segment: slice) -> Iterator[tuple[slice, bool]]:
        """Yield ``segment`` in parts, each with whether it is owned."""
        bounds = {segment.start, segment.stop}
        bounds |= {b for s in self.segments for b in (s.start, s.stop) if segment.start < b < segment.stop}
        ordered = sorted(bounds)
        for start, stop in pairwise(ordered):
            yield slice(start, stop), self.owns(slice(start, stop))

    def owns(self, segment: slice) -> bool:
        """Return whether ``segment``, one of ``cut``, is owned."""
        return any(s.start <= segment.start < s.stop for s in self.segments)

    def replicated_flat(self) -> FlatParameters:
        """Return the flat parameters as a sync strategy sees them that averages only what is replicated."""
        flat = copy.copy(self.flat)
        flat.buffers = self.replicated_buffers
        return flat

    @property
    def replicated_buffers(self) -> Tensor:
        """The float buffers that all workers have."""
        buffers: Tensor = self.flat.buffers[: self._first_buffer]
        return buffers

    def blocks(self, *, owned: bool) -> list[Tensor]:
        """Return the parts of parameters, momentum, slots and buffers that are owned, or those that are replicated."""
        flat = self.flat
        parts = [part for part, is_owned in self.cut(flat.whole) if is_owned is owned]
        found = [layout[part] for layout in (flat.parameters, flat.momentum, *flat.slots.values()) for part in parts]
        buffers = slice(self._first_buffer, None) if owned else slice(0, self._first_buffer)
        found += [flat.buffers[buffers], flat.average_of_buffers[buffers]]
        return [block for block in found if len(block)]


class SplitSync:
    """``SyncStrategy`` that updates what is owned from its own gradients, and the rest as ``replicated`` does.

    ``gather`` collects the whole classifier for validation, and ``release`` gives it up.
    """

    in_sync = True

    def __init__(
        self,
        optimizer: Optimizer,
        parts: OwnedParts,
        replicated: SyncStrategy,
        gather: Callable[[], None],
        release: Callable[[], None],
    ) -> None:
        self.capturable = replicated.capturable
        self._optimizer, self._parts, self._replicated = optimizer, parts, replicated
        self._gather, self._release = gather, release

    def begin(self, lr: float, weight_decay: float) -> None:
        self._parts.flat.updates += 1
        self._optimizer.set(lr, weight_decay)

    def update(self, segment: slice) -> None:
        for part, is_owned in self._parts.cut(segment):
            if is_owned:
                self._optimizer.step(part)
            else:
                self._replicated.update(part)

    @contextmanager
    def synchronized(self) -> Iterator[None]:
        self._gather()
        try:
            yield
        finally:
            self._release()

    def reset(self) -> None:
        self._replicated.reset()
