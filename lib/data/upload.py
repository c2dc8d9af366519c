"""From a slot to the device. On a CPU the trainer uses the slot itself; on a GPU the slot is copied on a stream
of its own while the network computes.
"""

from collections import deque
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lib.data.augment.params import COLUMNS, AugmentParams

# Batches on the device at once: one that is computed on, one that arrives.
_DEVICE_BUFFERS = 2
# A host that is further ahead of its device than this gains nothing, and keeps slots from the loader.
_MOST_WAITING = 2


class Batch(NamedTuple):
    """A batch on the device: uint8 images, int64 labels (B,) and the params (B, V) of ``lib.data.augment.params``."""

    images_BHWC: Tensor
    labels_B: Tensor
    params_BV: Tensor


class Upload(Protocol):
    """Turns filled slots into batches. One batch at a time is with the consumer."""

    ahead: int
    """batches that may be uploaded before the consumer asks for them"""

    def put(self, slot: int, params: AugmentParams) -> Batch:
        """Start to bring the first ``len(params)`` images of ``slot`` to the device."""

    def hand_over(self) -> None:
        """The consumer now gets the batch that was put next, and is done with the one before."""

    def release(self) -> None:
        """The consumer is done with the batch that it has, as far as what is enqueued after this goes."""

    @property
    def crowded(self) -> bool:
        """Whether so many slots wait for the device that the loader runs short of them."""

    def taken(self, *, wait: bool) -> list[int]:
        """Slots that may be lent again. ``wait``: until there is at least one."""

    def idle(self) -> bool:
        """Whether the device has nothing left to compute: only then does waiting for data cost time."""

    def close(self) -> Any:
        """Nothing is read from the slots any more."""


def upload_to(device: torch.device, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Upload:
    """The upload for ``device`` from slots ``images`` (slots, B, H, W, 3) and ``labels`` (slots, B)."""
    return CudaUpload(device, images, labels) if device.type == "cuda" else InPlace(images, labels)


class InPlace:
    """``Upload`` to the CPU: the slot is the batch, and is free once the consumer asks for the next."""

    ahead = 0
    crowded = False

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        self._images, self._labels = torch.from_numpy(images), torch.from_numpy(labels)
        self._used: list[int] = []
        self._current: list[int] = []

    def put(self, slot: int, params: AugmentParams) -> Batch:
        self._current = [slot]
        n = len(params)
        return Batch(self._images[slot, :n], self._labels[slot, :n], torch.from_numpy(params))

    def hand_over(self) -> None:
        self._used = self._current

    def release(self) -> None:
        pass

    def taken(self, *, wait: bool) -> list[int]:
        used, self._used = self._used, []
        return used

    def idle(self) -> bool:
        return True

    def close(self) -> None:
        pass


class CudaUpload:
    """``Upload`` to a GPU. The slots are page-locked, so that a copy runs by itself at the bus's full speed."""

    ahead = 1

    def __init__(self, device: torch.device, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        self._slots = torch.from_numpy(images), torch.from_numpy(labels)
        view_bytes = COLUMNS * torch.float32.itemsize * labels.shape[1]
        self._views = torch.empty(len(labels), view_bytes, dtype=torch.uint8, pin_memory=True)
        for slots in self._slots:
            _check(torch.cuda.cudart().cudaHostRegister(slots.data_ptr(), slots.nbytes, 0))
        self._stream = torch.cuda.Stream(device)
        shapes = [slots.shape[1:] for slots in self._slots]
        self._buffers = deque(
            Batch(
                torch.empty(shapes[0], dtype=torch.uint8, device=device),
                torch.empty(shapes[1], dtype=torch.int64, device=device),
                torch.empty(view_bytes, dtype=torch.uint8, device=device),
            )
            for _ in range(_DEVICE_BUFFERS)
        )
        self._copied: deque[tuple[int, torch.cuda.Event]] = deque()
        self._arrivals: deque[torch.cuda.Event] = deque()
        self._free: torch.cuda.Event | None = None

    def put(self, slot: int, params: AugmentParams) -> Batch:
        n = len(params)
        waiting = like(self._views[slot], params)
        waiting.copy_(torch.from_numpy(params))
        # The oldest buffer: its last reader was enqueued before hand_over, which this stream waited for.
        buffer = self._buffers[0]
        self._buffers.rotate(-1)
        batch = Batch(buffer.images_BHWC[:n], buffer.labels_B[:n], like(buffer.params_BV, params))
        with torch.cuda.stream(self._stream):
            for target, source in zip(batch, (*(slots[slot, :n] for slots in self._slots), waiting), strict=True):
                target.copy_(source, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
        self._copied.append((slot, event))
        self._arrivals.append(event)
        return batch

    def hand_over(self) -> None:
        compute = torch.cuda.current_stream()
        # All work on the batch before, whose buffer is filled next, comes before this.
        self._stream.wait_event(self._free or compute.record_event())
        self._free = None
        compute.wait_event(self._arrivals.popleft())

    def release(self) -> None:
        self._free = torch.cuda.current_stream().record_event()

    @property
    def crowded(self) -> bool:
        return len(self._copied) > _MOST_WAITING

    def taken(self, *, wait: bool) -> list[int]:
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
        for slots in self._slots:
            _check(torch.cuda.cudart().cudaHostUnregister(slots.data_ptr()))


def like(space: Tensor, params: AugmentParams) -> Tensor:
    """The first bytes of ``space``, uint8, as a tensor of the shape and type of ``views``."""
    dtype = torch.from_numpy(params).dtype
    return space[: params.nbytes].view(dtype).view(params.shape)


def _check(status: Any) -> None:
    if int(status) != 0:
        raise RuntimeError(f"page-locking the loader's slots failed with CUDA error {int(status)}")
