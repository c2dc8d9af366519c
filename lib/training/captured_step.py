"""The training step of every network on a GPU: forward, backward, average and update in one CUDA graph.

A batch is cropped, normalized and laid out as the network takes it when it is given; the rest is one launch. What
changes from step to step (number of images, dropout's seed, learning rate) lies on the device for the graph to read.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import accumulate as running_sum
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from ..data.augment.fused import transform_to_blocks
from ..data.augment.transform import Transform
from ..data.upload import Batch
from ..evaluation.metrics import Meter
from ..kernels.loss import accumulate, cross_entropy
from ..models.input_layout import InputLayout
from .flat import FlatParameters
from .graph import Graph
from .optimizer import Optimizer
from .sync import SyncStrategy


class CapturableNetwork(Protocol):
    """A network's forward and backward pass, written by hand or by autograd."""

    layout: InputLayout

    segments: list[list[str]]
    """names of weights whose gradients are complete before the end of ``backward``, in that order"""

    masks_short_batches: bool
    """whether images whose loss has no gradient leave no trace, so that a short batch may run as a full one"""

    collective: bool
    """whether workers compute the network together: then all run each pass, with or without images, and the weights
    to evaluate with are there only at times, so evaluation is not captured"""

    stream: torch.cuda.Stream | None
    """the stream on which its passes must be captured, if that matters"""

    def forward(self, images_BYXC: Tensor, *, training: bool, eager: bool = False) -> tuple[Tensor, ...]:
        """Return the logits (B, K) of each head; in evaluation of the main one."""

    def backward(self, gradients: Sequence[Tensor], on_ready: Callable[[int], None], *, add: bool = False) -> None:
        """Write all gradients, or with ``add`` add them. Call ``on_ready(i)`` once ``segments[i]`` is complete."""

    def measure_norms(self, images_BYXC: Tensor) -> None:
        """Make the running statistics of norms those of these images."""

    def refresh(self) -> None:
        """Recompute what is derived from weights, after someone else has changed them."""


class CapturedStep:
    """``Step`` of ``network`` on a GPU (in tests also on a CPU), in batches of at most ``batch_size`` images.

    ``head_weights`` weigh the losses of the network's heads. With ``accumulates``, several batches make one update,
    which is then a graph of its own. Graphs are built within ``building``: that may take minutes.
    """

    def __init__(
        self,
        network: CapturableNetwork,
        flat: FlatParameters,
        *,
        batch_size: int,
        head_weights: Sequence[float],
        label_smoothing: float,
        transform: Transform,
        optimizer: Optimizer,
        sync: SyncStrategy,
        dtype: torch.dtype,
        accumulates: bool = False,
        class_weights_K: Tensor | None = None,
        building: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._network, self._flat, self._dtype, self._building = network, flat, dtype, building
        self._label_smoothing, self._accumulates = label_smoothing, accumulates
        self._class_weights_K = class_weights_K
        self._transform, self._optimizer, self._sync = transform, optimizer, sync
        self._device = flat.state.device
        self._head_weights = torch.tensor(head_weights, dtype=torch.float32, device=self._device)
        self._head_scales = torch.zeros_like(self._head_weights)
        self._count, self._iteration = torch.zeros(2, dtype=torch.int64, device=self._device)
        self._images_of_size: dict[int, Tensor] = {}
        self._allocate(batch_size)
        bounds = [0, *running_sum(map(flat.length_of, network.segments)), flat.whole.stop]
        *self._early, self._late = (slice(*ends) for ends in pairwise(bounds))
        self._side = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None
        self._graphs: dict[str, Graph] = {}
        self._meter: Meter | None = None
        self._on_device = (-1, -1.0)
        self._seed = self._n_images = self._n_accumulated = 0

    def gradients(self, batch: Batch, meter: Meter, *, loss_scale: float, iteration: int, seed: int) -> None:
        """See ``Step``. Where one batch makes an update, this only loads it: ``update`` computes, as one graph."""
        if meter is not self._meter:
            self._meter = meter
            self._graphs.clear()
        self._n_images, self._seed = len(batch.labels_B), seed
        self._load(batch)
        self._iteration.fill_(iteration)
        self._set_on_device(self._n_images, loss_scale)
        if self._accumulates:
            add = self._n_accumulated > 0
            self._compute("more" if add else "first", lambda n, eager: self._pass(n, _ignore, add=add, eager=eager))
            self._n_accumulated += 1

    def update(self, lr: float, weight_decay: float) -> None:
        self._sync.begin(lr, weight_decay)
        if not self._accumulates:
            self._compute("step", self._pass_and_sync if self._sync.capturable else self._pass_alone)
        elif self._sync.capturable:
            self._repeat("update", lambda: self._sync.update(self._flat.whole), lambda: None)
        if not self._sync.capturable:
            self._sync.update(self._flat.whole)
        self._n_accumulated = 0

    @torch.no_grad()
    def outputs(self, batch: Batch) -> Tensor:
        count = len(batch.labels_B)
        self._load(batch)
        if count < len(self._labels_B) or self._network.collective:
            with self._for_once(count):
                return self._network.forward(self._images_BYXC[:count], training=False)[0]
        self._repeat("evaluation", self._evaluate, self._evaluate)
        return self._logits_BK

    @torch.no_grad()
    def measure_norms(self, batch: Batch) -> None:
        count = len(batch.labels_B)
        self._load(batch)
        if count < len(self._labels_B) or self._network.collective:
            with self._for_once(count):
                self._network.measure_norms(self._images_BYXC[:count])
        else:
            self._repeat("norms", self._measure, self._measure)

    def refresh(self) -> None:
        self._optimizer.refresh(self._flat.whole)
        self._network.refresh()

    def close(self) -> None:
        self._graphs.clear()  # NCCL waits forever for the end of graphs that contain its collectives

    def _compute(self, name: str, work: Callable[[int, bool], None]) -> None:
        """Run ``work(images, eager)`` for the batch that was loaded: the graph ``name``, or eagerly if it is short."""
        self._seed_dropout()
        full, name = len(self._labels_B), f"{name} {self._transform.size}"
        graph = lambda: work(full, False), lambda: self._pass(full, _ignore, add=False, eager=False)
        if self._n_images == full or self._network.masks_short_batches:
            self._repeat(name, *graph)
        else:
            if self._network.collective:
                self._build(name, *graph)  # as the others do now, whose batches may be full
            with self._for_once(self._n_images):
                work(self._n_images, True)

    def _repeat(self, name: str, work: Callable[[], None], warm_up: Callable[[], None]) -> None:
        """Replay the graph ``name``. Build it of ``work`` if it is missing."""
        self._build(name, work, warm_up)
        self._graphs[name].replay()

    def _build(self, name: str, work: Callable[[], None], warm_up: Callable[[], None]) -> None:
        """Build the graph ``name`` of ``work`` if it is missing."""
        if name not in self._graphs:
            pool = next((graph.pool for graph in self._graphs.values()), None)
            with self._building(), self._undisturbed():
                self._graphs[name] = Graph(work, warm_up, self._device, stream=self._network.stream, pool=pool)
            self._seed_dropout()

    def _pass_alone(self, n_images: int, eager: bool) -> None:
        self._pass(n_images, _ignore, add=False, eager=eager)

    def _pass_and_sync(self, n_images: int, eager: bool) -> None:
        """Average and update each segment while the pass computes the others."""
        self._pass(n_images, lambda segment: self._sync_beside(self._early[segment]), add=False, eager=eager)
        self._sync_beside(self._late)
        if self._side:
            torch.cuda.current_stream(self._device).wait_stream(self._side)

    def _sync_beside(self, segment: slice) -> None:
        """Average and update ``segment`` on another stream, where copies between devices run beside computation."""
        if not self._side:
            return self._sync.update(segment)
        self._side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._side):
            self._sync.update(segment)
        return None

    def _pass(self, n_images: int, on_ready: Callable[[int], None], *, add: bool, eager: bool) -> None:
        """Run forward and backward on the first images of the loaded batch, and count it in the meter."""
        assert self._meter is not None
        if not n_images and not self._network.collective:
            if not add:
                self._flat.gradients.zero_()
            for segment in range(len(self._early)):
                on_ready(segment)
            return
        labels_B = self._labels_B[:n_images]
        heads = self._network.forward(self._images_BYXC[:n_images], training=True, eager=eager)
        gradients = [torch.empty_like(logits_BK, memory_format=torch.contiguous_format) for logits_BK in heads]
        results = [
            cross_entropy(
                logits_BK.contiguous(),
                labels_B,
                self._count,
                scale,
                self._label_smoothing,
                gradient,
                self._weights_B,
                self._class_weights_K,
            )
            for logits_BK, scale, gradient in zip(heads, self._head_scales, gradients, strict=True)
        ]
        losses_B = sum(losses * weight for (losses, _), weight in zip(results, self._head_weights, strict=True))
        if n_images:
            accumulate(losses_B, results[0][1], self._count, self._iteration, *self._meter.accumulators())
        self._network.backward(gradients, on_ready, add=add)

    def _evaluate(self) -> None:
        self._logits_BK = self._network.forward(self._images_BYXC, training=False)[0]

    def _measure(self) -> None:
        self._network.measure_norms(self._images_BYXC)

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Undo what warming up and capturing change: running statistics, counters and gradients."""
        changed = [self._count, self._flat.buffers, self._flat.frozen, self._flat.gradients]
        before = [tensor.clone() for tensor in changed]
        self._count.zero_()  # so that nothing is counted in the meter
        yield
        for tensor, value in zip(changed, before, strict=True):
            tensor.copy_(value)

    @contextmanager
    def _for_once(self, count: int) -> Iterator[None]:
        """For a short batch take cuDNN's first choice: timing all took 2 s, which one batch an epoch never gains."""
        before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = before and count == len(self._labels_B)
        try:
            yield
        finally:
            torch.backends.cudnn.benchmark = before

    def _load(self, batch: Batch) -> None:
        """Crop, normalize and lay out a batch as the network takes it."""
        count, transform = len(batch.labels_B), self._transform
        if count > len(self._labels_B):
            self._allocate(count)
            self._graphs.clear()
        size = transform.crop if transform.is_plain(batch.params_BV) else transform.size
        layout = self._network.layout.resized(size) if size != transform.crop else self._network.layout
        self._images_BYXC = self._images(size, layout)
        if not count:
            return
        self._labels_B[:count].copy_(batch.labels_B)
        if self._weights_B is not None and not transform.is_plain(batch.params_BV):
            self._weights_B[:count].copy_(transform.own_weights(batch.params_BV))
        transform_to_blocks(
            transform, batch.images_BHWC, batch.params_BV, self._images_BYXC, side=layout.side, pad=layout.pad
        )

    def _allocate(self, batch_size: int) -> None:
        """Allocate the batch that graphs read."""
        self._images_of_size.clear()
        self._labels_B = torch.zeros(batch_size, dtype=torch.int64, device=self._device)
        self._weights_B = torch.ones(batch_size, device=self._device) if self._transform.mixes else None

    def _images(self, size: int, layout: InputLayout) -> Tensor:
        """Return the images that graphs for crops of this size read."""
        if size not in self._images_of_size:
            shape = len(self._labels_B), layout.rows, layout.rows, layout.channels
            self._images_of_size[size] = torch.zeros(shape, dtype=self._dtype, device=self._device)
        return self._images_of_size[size]

    def _set_on_device(self, n_images: int, loss_scale: float) -> None:
        if self._on_device != (n_images, loss_scale):
            self._on_device = (n_images, loss_scale)
            self._count.fill_(n_images)
            torch.mul(self._head_weights, loss_scale, out=self._head_scales)

    def _seed_dropout(self) -> None:
        torch.manual_seed(self._seed)


def _ignore(_: int) -> None:
    pass
