"""Upload to a GPU straight from ``data.cache: memory``. The loader only tells which images make a batch."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..system.cuda_copy import HostToDevice
from ..types import Split
from .plan import BatchRequest
from .upload import CudaUpload


class CachedUpload(CudaUpload):
    """``Upload`` from the page-locked images of a data set. Slots hold numbers of images, (slots, B)."""

    def __init__(
        self,
        device: torch.device,
        indices: NDArray[np.int64],
        labels: NDArray[np.int64],
        cached: Mapping[Split, NDArray[np.uint8]],
        slot_shape: tuple[int, int, int],
    ) -> None:
        """Page-lock the images (N, H, W, 3) of each split in ``cached``, which takes seconds."""
        super().__init__(device, indices, labels, image_shape=slot_shape)
        self._indices, self._cached = indices, cached
        for images in cached.values():
            self.page_lock(images)
        self._copy = HostToDevice()

    def copy_images(self, slot: int, request: BatchRequest, target_BHWC: Tensor) -> None:
        """Enqueue one copy for each image, of the rows that are wanted."""
        images = self._cached["train" if request.phase == "train" else "val"]
        n_bytes = target_BHWC[:1].nbytes
        first = target_BHWC.data_ptr()
        targets = range(first, first + n_bytes * request.count, n_bytes or 1)
        sources = row_addresses(images, self._indices[slot, : request.count], request.tops)
        self._copy(targets, sources, n_bytes, self.stream.cuda_stream)


def row_addresses(images: NDArray[np.uint8], indices: NDArray[np.int64], tops: Sequence[int]) -> list[int]:
    """Return the address of row ``tops[i]`` of each of these images, or of its first row if there are no tops."""
    of_image, of_row = images.strides[:2]
    rows = np.array(tops, np.int64) if tops else np.zeros(len(indices), np.int64)
    addresses: list[int] = (images.ctypes.data + indices * of_image + rows * of_row).tolist()
    return addresses
