"""The layout of a slot: the images of a batch, one after the other from its first byte on."""

from typing import Any, TypeVar

A = TypeVar("A")
"""a NumPy array or a torch tensor; loaders do not import torch"""


def packed_images(slot_BHWC: A, count: int, rows: int = 0) -> A:
    """Return ``count`` images of ``rows`` rows at the start of a contiguous slot; 0: square images.

    They are contiguous, so one copy moves them and nothing else.
    """
    slot: Any = slot_BHWC
    _, _, columns, channels = slot.shape
    shape = (count, rows or columns, columns, channels)
    images: A = slot.reshape(-1)[: count * shape[1] * columns * channels].reshape(*shape)
    return images
