"""The memory in which the main process and its workers exchange images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..ipc import shared_memory
from ..ipc.messages import TensorHandle

CHUNK = 16  # images decoded in one task: enough to hide its overhead, and few enough to stay in order


@dataclass(frozen=True)
class SharedBuffers:
    """Two arrays in shared memory. A spawned process that gets a copy of this object attaches to the same memory."""

    chunks: NDArray[np.uint8]
    """decoded images, (chunks, CHUNK, H, W, 3)"""
    files: NDArray[np.uint8]
    """batch files that are filled or written, (files, B, H, W, 3)"""
    handles: tuple[TensorHandle, TensorHandle]

    @property
    def img_size(self) -> int:
        """Side of the images, in pixels."""
        return int(self.files.shape[2])

    @property
    def file_batch_size(self) -> int:
        """Images in a batch file."""
        return int(self.files.shape[1])

    def __reduce__(self) -> tuple[object, ...]:
        return _attach, (self.handles,)


def allocate_buffers(img_size: int, file_batch_size: int, n_workers: int) -> SharedBuffers:
    """Allocate enough memory to keep ``n_workers`` busy."""
    image = (img_size, img_size, 3)
    chunks, chunks_handle = shared_memory.create("chunks", (4 * n_workers, CHUNK, *image), "uint8")
    files, files_handle = shared_memory.create("batch files", (2 + n_workers // 4, file_batch_size, *image), "uint8")
    return SharedBuffers(chunks, files, (chunks_handle, files_handle))


def _attach(handles: tuple[TensorHandle, TensorHandle]) -> SharedBuffers:
    chunks, files = map(shared_memory.attach, handles)
    return SharedBuffers(chunks, files, handles)
