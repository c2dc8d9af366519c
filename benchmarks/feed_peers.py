"""Other ways to bring batches of a packed data set to the device: what the loader is compared with."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any

import h5py
import hickle
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler


def by_hickle(files: Sequence[Path], device: torch.device) -> Iterator[Tensor]:
    """Yield whole files without end, copied from pageable memory, as theano_alexnet does."""
    for path in cycle(files):
        yield torch.from_numpy(hickle.load(path)).to(device)


class PackedImages(Dataset[Tensor]):
    """The images of batch files, uint8 (H, W, 3). Each process keeps the files open that it has read from."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = list(files)
        counts = []
        for path in files:
            with h5py.File(path) as file:
                counts.append(len(file["data"]))
        self._starts = np.cumsum([0, *counts])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Tensor:
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return torch.from_numpy(open_images(self._files[number])[index - self._starts[number]])


@lru_cache(maxsize=256)
def open_images(path: Path) -> Any:
    """Return the images of a batch file, which stays open."""
    return h5py.File(path)["data"]


class ByDataLoader:
    """torch's DataLoader over the same images in random order, with pinned memory if there is a GPU."""

    def __init__(
        self, files: Sequence[Path], *, batch_size: int, images: int, workers: int, device: torch.device
    ) -> None:
        images_of_files = PackedImages(files)
        self._device = device
        self._loader = DataLoader(
            images_of_files,
            batch_size,
            sampler=RandomSampler(images_of_files, num_samples=images),
            num_workers=workers,
            pin_memory=device.type == "cuda",
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
            multiprocessing_context="spawn" if workers else None,
        )

    def __iter__(self) -> Iterator[Tensor]:
        for images_BHWC in self._loader:
            yield images_BHWC.to(self._device, non_blocking=True)
