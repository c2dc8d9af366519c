"""Copy filled slots to the device.

On a CPU the batch is the slot itself. On a GPU the slot is copied on a separate stream while the network computes.
"""

from collections import deque
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .augment.params import AugmentParams
from .augment.registry import COLUMNS
from .plan import BatchRequest
from .slot import packed_images

# Batches on the device: one that is used, one that is being copied.
_DEVICE_BUFFERS = 2
# A host that is further ahead of its device gains nothing, and keeps slots from the loader.
_MAX_COPYING = 2


class Batch(NamedTuple):
    """A batch on the device: uint8 images, int64 labels (B,) and augmentation parameters (B, V).

    Images are whole, or as high as the crop: then they begin at the top of their crop.
    """

    images_BHWC: Tensor
    labels_B: Tensor
    params_BV: Tensor


class Upload:
    """Turns filled slots into batches. The consumer uses one batch at a time.

    This is the upload on a CPU: the batch is the slot, which is free once the consumer asks for the next batch.
    """

    ahead = 0
    """batches that may be copied before the consumer asks for them"""

    def __init__(self, images: NDArray[np.uint8] | NDArray[np.int64], labels: NDArray[np.int64]) -> None:
        """Upload from slots ``images`` (slots, B, H, W, 3) and ``labels`` (slots, B)."""
        self._images, self._labels = torch.from_numpy(images), torch.from_numpy(labels)
        self._released: list[int] = []
        self._current: list[int] = []

    def put(self, slot: int, request: BatchRequest) -> Batch:
        """Start to copy the images of ``slot`` that the ``request`` is for to the device."""
        self._current = [slot]
        images = packed_images(self._images[slot], request.count, request.rows)
        return Batch(images, self._labels[slot, : request.count], torch.from_numpy(request.params))

    def hand_over(self) -> None:
        """Give the consumer the oldest batch that it has not got, and release the one before."""
        self._released = self._current

    def release(self) -> None:
        """Release the consumer's batch: kernels enqueued from now on do not read it."""

    @property
    def congested(self) -> bool:
        """Whether more slots wait for the device than it gains from, while the loader needs them."""
        return False

    def free_slots(self, *, wait: bool) -> list[int]:
        """Return the slots that were copied and may be lent again. With ``wait``, wait for at least one."""
        released, self._released = self._released, []
        return released

    def idle(self) -> bool:
        """Return whether the device has nothing to compute: only then does waiting for data cost time."""
        return True

    def close(self) -> None:
        """Wait until nothing reads from the slots, and release what was allocated."""


class CudaUpload(Upload):
    """``Upload`` to a GPU. The slots are page-locked, so copies are asynchronous and use the full bandwidth."""

    ahead = 1

    def __init__(
        self,
        device: torch.device,
        images: NDArray[np.uint8] | NDArray[np.int64],
        labels: NDArray[np.int64],
        *,
        image_shape: tuple[int, int, int] | None = None,
    ) -> None:
        """``image_shape`` is that of the largest image on the device; by default that of an image in a slot."""
        super().__init__(images, labels)
        self._page_locked: list[NDArray[Any]] = []
        params_bytes = COLUMNS * torch.float32.itemsize * labels.shape[1]
        self._params = torch.empty(len(labels), params_bytes, dtype=torch.uint8, pin_memory=True)
        for slots in (images, labels):
            self.page_lock(slots)
        self.stream = torch.cuda.Stream(device)
        """on which batches are copied"""
        n = labels.shape[1]
        self._buffers = deque(
            Batch(
                torch.empty(n, *(image_shape or images.shape[2:]), dtype=torch.uint8, device=device),
                torch.empty(n, dtype=torch.int64, device=device),
                torch.empty(params_bytes, dtype=torch.uint8, device=device),
            )
            for _ in range(_DEVICE_BUFFERS)
        )
        self._copied: deque[tuple[int, torch.cuda.Event]] = deque()
        self._arrivals: deque[torch.cuda.Event] = deque()
        self._free: torch.cuda.Event | None = None

    def put(self, slot: int, request: BatchRequest) -> Batch:
        n, params = request.count, request.params
        pinned = view_as(self._params[slot], params)
        pinned.copy_(torch.from_numpy(params))
        # The oldest buffer. Its last reader was enqueued before hand_over, which this stream waits for.
        buffer = self._buffers[0]
        self._buffers.rotate(-1)
        images = packed_images(buffer.images_BHWC, n, request.rows)
        batch = Batch(images, buffer.labels_B[:n], view_as(buffer.params_BV, params))
        with torch.cuda.stream(self.stream):
            self.copy_images(slot, request, images)
            batch.labels_B.copy_(self._labels[slot, :n], non_blocking=True)
            batch.params_BV.copy_(pinned, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
        self._copied.append((slot, event))
        self._arrivals.append(event)
        return batch

    def copy_images(self, slot: int, request: BatchRequest, target_BHWC: Tensor) -> None:
        """Enqueue the copy of the images of ``slot`` on ``stream``."""
        source_BHWC = packed_images(self._images[slot], request.count, request.rows)
        target_BHWC.copy_(source_BHWC, non_blocking=True)

    def page_lock(self, memory: NDArray[Any]) -> None:
        """Page-lock ``memory`` until ``close``."""
        if memory.nbytes:
            _check(torch.cuda.cudart().cudaHostRegister(memory.ctypes.data, memory.nbytes, 0))
            self._page_locked.append(memory)

    def hand_over(self) -> None:
        compute = torch.cuda.current_stream()
        # Everything that reads the batch before, whose buffer is filled next, was enqueued before this.
        self.stream.wait_event(self._free or compute.record_event())
        self._free = None
        compute.wait_event(self._arrivals.popleft())

    def release(self) -> None:
        self._free = torch.cuda.current_stream().record_event()

    @property
    def congested(self) -> bool:
        return len(self._copied) > _MAX_COPYING

    def free_slots(self, *, wait: bool) -> list[int]:
        slots = []
        while self._copied and (wait or self._copied[0][1].query()):
            slot, event = self._copied.popleft()
            event.synchronize()
            slots.append(slot)
            wait = False
        return slots

    def idle(self) -> bool:
        return bool(torch.cuda.current_stream().query())

    def close(self) -> None:
        torch.cuda.synchronize()
        for memory in self._page_locked:
            _check(torch.cuda.cudart().cudaHostUnregister(memory.ctypes.data))


def view_as(memory: Tensor, params: AugmentParams) -> Tensor:
    """Return the first bytes of ``memory``, uint8, as a tensor of the shape and type of ``params``."""
    dtype = torch.from_numpy(params).dtype
    return memory[: params.nbytes].view(dtype).view(params.shape)


def _check(status: Any) -> None:
    if int(status) != 0:
        raise RuntimeError(f"page-locking memory failed with CUDA error {int(status)}")
