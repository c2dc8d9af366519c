"""The training step of a network that has a fused twin: one CUDA graph, exchange and update included.

A batch is cut and laid out as the network eats it when it is added; everything else happens in ``update``, as one
launch. What changes from step to step (how many images, dropout's seed, the rate) lies where the graph reads it. A
short batch is a full one whose last images count for nothing.
"""

from collections.abc import Callable
from itertools import accumulate as running_sum
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from lib.data.augment.transform import Transform
from lib.data.upload import Batch
from lib.evaluation.metrics import Meter
from lib.kernels.crop import crop_to_blocks, to_blocks
from lib.kernels.loss import accumulate, cross_entropy
from lib.training.flat import FlatParameters
from lib.training.fused_optimizer import FusedSGD
from lib.training.sync import SyncStrategy

_WARM_UPS = 3


class FusedNetwork(Protocol):
    """A network's forward and backward pass by hand."""

    ready: list[list[str]]
    """the weights whose gradients are ready before the end of ``backward``, in the order in which it says so"""

    block: int
    """side of the squares of pixels that it takes as channels: see ``lib.kernels.crop``"""

    rows: int
    """how many such squares it eats in each direction"""

    def forward(self, images: Tensor, *, training: bool) -> Tensor:
        """Logits (B, K)."""

    def backward(self, g_BK: Tensor, on_ready: Callable[[int], None]) -> None:
        """All gradients; ``on_ready(i)`` is called once those of ``ready[i]`` are there."""


class FusedStep:
    """``Step`` of a fused network, in batches of at most ``batch_size`` images."""

    def __init__(
        self,
        network: FusedNetwork,
        flat: FlatParameters,
        *,
        batch_size: int,
        label_smoothing: float,
        transform: Transform,
        optimizer: FusedSGD,
        sync: SyncStrategy,
        dtype: torch.dtype,
    ) -> None:
        self._network, self._flat, self._dtype, self._label_smoothing = network, flat, dtype, label_smoothing
        self._transform, self._optimizer, self._sync = transform, optimizer, sync
        device = flat.state.device
        self._graph: torch.cuda.CUDAGraph | None = None
        self._images, self._labels_B = self._room(batch_size)
        self._count, self._iteration = torch.zeros(2, dtype=torch.int64, device=device)
        self._loss_scale = torch.zeros((), device=device)
        self._known: dict[str, float] = {}
        self._seed = 0
        bounds = [0, *running_sum(map(flat.length_of, network.ready)), len(flat.parameters)]
        *self._early, self._late = (slice(*ends) for ends in pairwise(bounds))
        self._side = torch.cuda.Stream(device)
        self._generator = torch.cuda.default_generators[device.index]
        self._meter: Meter | None = None

    def gradients(self, batch: Batch, meter: Meter, *, loss_scale: float, iteration: int, seed: int) -> None:
        count = len(batch.labels_B)
        if count > len(self._labels_B):
            self._graph = None
            self._images, self._labels_B = self._room(count)
        if count:
            self._cut(batch, self._images)
            self._labels_B[:count].copy_(batch.labels_B)
        self._iteration.fill_(iteration)
        self._fill("count", self._count, count)
        self._fill("share", self._loss_scale, loss_scale)
        self._seed = seed
        if meter is not self._meter:
            self._meter, self._graph = meter, None

    def update(self, lr: float, weight_decay: float) -> None:
        self._optimizer.set(lr, weight_decay)
        if self._graph is None:
            self._graph = self._captured()
        self._generator.manual_seed(self._seed)
        self._graph.replay()
        if not self._sync.capturable:
            self._sync.update(self._flat.whole)

    @torch.no_grad()
    def outputs(self, batch: Batch) -> Tensor:
        images = self._place(len(batch.labels_B))
        self._cut(batch, images)
        return self._network.forward(images, training=False)

    def refresh(self) -> None:
        self._optimizer.refresh(self._flat.whole)

    def _captured(self) -> torch.cuda.CUDAGraph:
        """The step as a graph. Warming up counts no image and updates nothing."""
        known = self._count.clone()
        self._count.zero_()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self._pass(lambda segment: None)
        torch.cuda.current_stream().wait_stream(stream)
        self._count.copy_(known)
        graph = torch.cuda.CUDAGraph()
        # The loader's uploads go on meanwhile in this thread's other streams.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            if self._sync.capturable:
                self._pass(lambda segment: self._beside(self._early[segment]))
                self._beside(self._late)
                torch.cuda.current_stream().wait_stream(self._side)
            else:
                self._pass(lambda segment: None)
        return graph

    @torch.no_grad()
    def _pass(self, on_ready: Callable[[int], None]) -> None:
        """Forwards and backwards, and the figures."""
        assert self._meter is not None
        logits_BK = self._network.forward(self._images, training=True)
        g_BK = torch.empty_like(logits_BK)
        losses_B, places_B = cross_entropy(
            logits_BK, self._labels_B, self._count, self._loss_scale, self._label_smoothing, g_BK
        )
        accumulate(losses_B, places_B, self._count, self._iteration, *self._meter.accumulators())
        self._network.backward(g_BK, on_ready)

    def _beside(self, segment: slice) -> None:
        """Average and update on a stream of its own: copies between devices go on while this one computes."""
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side):
            self._sync.update(segment)

    def _room(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """For images and labels of a batch that a graph reads."""
        return self._place(batch_size), torch.zeros(batch_size, dtype=torch.int64, device=self._flat.state.device)

    def _place(self, batch_size: int) -> Tensor:
        """Room for so many images, laid out as the network eats them."""
        rows, channels = self._network.rows, 3 * self._network.block**2
        return torch.zeros(batch_size, rows, rows, channels, dtype=self._dtype, device=self._flat.state.device)

    def _cut(self, batch: Batch, place_BYXC: Tensor) -> None:
        """What the views of a batch show, into the first images of ``place_BYXC``."""
        transform, images, params_BV = self._transform, batch.images_BHWC, batch.params_BV
        if transform.is_plain(params_BV):
            crop_to_blocks(images, transform.mean_HWC, params_BV, transform.crop, place_BYXC)
        else:
            blocks = to_blocks(transform(images, params_BV), self._network.block, self._network.rows)
            place_BYXC[: len(images)].copy_(blocks)

    def _fill(self, name: str, place: Tensor, value: float) -> None:
        if self._known.get(name) != value:
            self._known[name] = value
            place.fill_(value)
