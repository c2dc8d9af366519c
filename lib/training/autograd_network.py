"""Any network's forward and backward pass by autograd, as the captured step runs it.

It computes with a copy of the weights in the compute dtype, which the optimizer's kernels write together with the
weights: nothing is cast in the step. Norms keep their float32 parameters. Gradients are moved into the flat gradients
segment by segment, as soon as a segment is complete, so that it can be averaged while the rest is computed.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from weakref import WeakMethod

import torch
from torch import Tensor, nn

from ..models.input_layout import use_blocks
from ..models.losses import Outputs
from .flat import FlatParameters
from .precise_bn import measuring
from .split_classifier import SplitNetwork, compile_around

_Norms = (nn.BatchNorm1d, nn.BatchNorm2d)


class AutogradNetwork:
    """``CapturableNetwork`` of ``model``, whose parameters and buffers are views of ``flat``.

    ``weights`` (N,) is the copy of ``flat.parameters`` to compute with. ``segment_bytes`` is the least size of the
    segments in which gradients become ready.
    """

    def __init__(
        self,
        model: nn.Module,
        flat: FlatParameters,
        weights: Tensor,
        *,
        crop: int,
        frozen_norms: Sequence[nn.Module],
        compiled: bool,
        segment_bytes: int,
    ) -> None:
        self._model, self._flat, self._dtype = model, flat, weights.dtype
        self.collective = isinstance(model, SplitNetwork)
        # The split layers leave out rows without an image; norms in the features would count them.
        self.masks_short_batches = self.collective and not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
        self._network, self._frozen = _computing_copy(model, flat.views(weights))
        modules = dict(model.named_modules())
        names = [name for name, module in modules.items() if any(module is norm for norm in frozen_norms)]
        self._frozen_norms = [self._network.get_submodule(name) for name in names]
        self.layout = use_blocks(self._network, crop)
        self._compiled: Callable[[Tensor], Outputs] = compile_around(self._network) if compiled else self._network
        self.segments = list(_segments(flat, segment_bytes))
        # Autograd runs the hooks of a parameter on the stream that was current when they were registered.
        self.stream = torch.cuda.Stream(weights.device) if weights.is_cuda else None
        with torch.cuda.stream(self.stream):
            self._gradients = _Gradients(self._network, flat, [*self.segments, self._rest()])
        self._heads: tuple[Tensor, ...] = ()

    def forward(self, images_BYXC: Tensor, *, training: bool, eager: bool = False) -> tuple[Tensor, ...]:
        """Return the logits (B, K) of each head. With ``eager``, do not run compiled code: for odd batch sizes."""
        self._network.train(training)
        for norm in self._frozen_norms:
            norm.eval()
        run = self._network if eager or not training else self._compiled
        with torch.set_grad_enabled(training):
            outputs = run(images_BYXC.permute(0, 3, 1, 2))
        self._heads = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
        return tuple(head.detach() for head in self._heads)

    def backward(self, gradients: Sequence[Tensor], on_ready: Callable[[int], None], *, add: bool = False) -> None:
        """Write the gradients, or with ``add`` add them; call ``on_ready(i)`` once ``segments[i]`` is complete."""
        self._gradients.begin(on_ready, add=add)
        torch.autograd.backward(self._heads, list(gradients))
        self._heads = ()
        self._gradients.finish()

    def measure_norms(self, images_BYXC: Tensor) -> None:
        with measuring(self._network, self._frozen_norms), torch.no_grad():
            self._network(images_BYXC.permute(0, 3, 1, 2))

    def refresh(self) -> None:
        """Copy frozen parameters, after someone else has changed them."""
        for compute, parameter in self._frozen:
            compute.data.copy_(parameter.detach())

    def _rest(self) -> list[str]:
        early = {name for segment in self.segments for name in segment}
        return [name for name in self._flat.views(self._flat.gradients) if name not in early]


class _Gradients:
    """Collects the gradients of a backward pass in ``flat.gradients``, one segment after the other."""

    def __init__(self, network: nn.Module, flat: FlatParameters, segments: Sequence[Sequence[str]]) -> None:
        parameters = dict(network.named_parameters())
        targets = flat.views(flat.gradients)
        self._segments = [[(parameters[name], targets[name]) for name in segment] for segment in segments]
        self._segment_of = {id(p): i for i, segment in enumerate(self._segments) for p, _ in segment}
        self._missing = [len(segment) for segment in self._segments]
        self._next, self._add = 0, False
        self._on_ready: Callable[[int], None] = lambda segment: None
        # A parameter keeps its hooks where the garbage collector cannot see them. A hook that held this object would
        # make a cycle that lives to the end of the process, and with it memory lent to others through CUDA.
        arrived = WeakMethod(self._arrived)

        def hook(parameter: Tensor) -> None:
            if method := arrived():
                method(parameter)

        for segment in self._segments:
            for parameter, _ in segment:
                parameter.register_post_accumulate_grad_hook(hook)

    def begin(self, on_ready: Callable[[int], None], *, add: bool) -> None:
        self._on_ready, self._add, self._next = on_ready, add, 0
        self._missing = [len(segment) for segment in self._segments]

    def finish(self) -> None:
        """Store what is left: parameters that took no part in the pass have a gradient of zero."""
        while self._next < len(self._segments):
            self._store_next()

    def _arrived(self, parameter: Tensor) -> None:
        self._missing[self._segment_of[id(parameter)]] -= 1
        # In order, so that all workers exchange segments in the same order.
        while self._next < len(self._segments) - 1 and not self._missing[self._next]:
            self._store_next()

    @torch.no_grad()
    def _store_next(self) -> None:
        segment = self._segments[self._next]
        for dtype in {p.grad.dtype for p, _ in segment if p.grad is not None}:
            pairs = [(target, p.grad) for p, target in segment if p.grad is not None and p.grad.dtype == dtype]
            targets, gradients = map(list, zip(*pairs, strict=True))
            if self._add:
                torch._foreach_add_(targets, gradients)
            else:
                torch._foreach_copy_(targets, gradients)
        for parameter, target in segment:
            if parameter.grad is None and not self._add:
                target.zero_()
            parameter.grad = None
        self._next += 1
        if self._next < len(self._segments):
            self._on_ready(self._next - 1)


def _computing_copy(model: nn.Module, weights: dict[str, Tensor]) -> tuple[nn.Module, list[tuple[Tensor, Tensor]]]:
    """Return ``model`` with the parameters to compute with, and pairs of frozen parameters: (its, ``model``'s).

    Buffers are shared with ``model``.
    """
    dtype = next(iter(weights.values())).dtype
    norms = {
        id(parameter) for module in model.modules() if isinstance(module, _Norms) for parameter in module.parameters()
    }
    replaced: dict[int, Tensor] = {id(buffer): buffer for buffer in model.buffers()}
    frozen: list[tuple[Tensor, Tensor]] = []
    for name, parameter in model.named_parameters():
        if id(parameter) in norms:
            data = parameter.data
        elif name in weights:
            data = weights[name].data  # with its own version: other segments are updated during the backward pass
        else:
            data = parameter.data.to(dtype, copy=True)
        replaced[id(parameter)] = nn.Parameter(data, requires_grad=parameter.requires_grad)
        if name not in weights and id(parameter) not in norms:
            frozen.append((replaced[id(parameter)], parameter))
    return copy.deepcopy(model, replaced), frozen


def _segments(flat: FlatParameters, segment_bytes: int) -> Iterator[list[str]]:
    """Yield groups of weights in flat order, the order in which they become ready, each of at least that size.

    What is left at the end, with biases and norms, is none of them: it is ready when the pass is over.
    """
    names: list[str] = []
    views = flat.views(flat.gradients)
    weights = [name for name, view in views.items() if view.ndim > 1]
    for name in weights[:-1]:
        names.append(name)
        if flat.length_of(names) * flat.gradients.itemsize >= segment_bytes:
            yield names
            names = []
