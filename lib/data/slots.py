"""The slots that a trainer shares with its loader, and the upload from them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..ipc import shared_memory
from ..ipc.messages import TensorHandle
from ..types import Split
from .cached_upload import CachedUpload
from .upload import CudaUpload, Upload


class Slots(NamedTuple):
    """Slots in shared memory."""

    upload: Upload
    """from the slots to the device"""
    handles: tuple[TensorHandle, TensorHandle]
    """how the loader opens the slots of pixels and of labels"""

    @property
    def n_slots(self) -> int:
        """The number of slots."""
        return self.handles[1].shape[0]


def create_slots(
    device: torch.device,
    *,
    slots: int,
    batch_size: int,
    slot_shape: tuple[int, int, int],
    cached: Mapping[Split, NDArray[np.uint8]] | None = None,
) -> Slots:
    """Create slots for batches on ``device``.

    ``slot_shape`` is that of the largest image in a batch, (rows, columns, channels). With ``cached`` images the upload
    is from these, and slots hold numbers of images in place of pixels.
    """
    labels, labels_handle = shared_memory.create("labels", (slots, batch_size), "int64")
    if cached is not None:
        indices, handle = shared_memory.create("indices", (slots, batch_size), "int64")
        return Slots(CachedUpload(device, indices, labels, cached, slot_shape), (handle, labels_handle))
    images, handle = shared_memory.create("images", (slots, batch_size, *slot_shape), "uint8")
    upload = CudaUpload(device, images, labels) if device.type == "cuda" else Upload(images, labels)
    return Slots(upload, (handle, labels_handle))
