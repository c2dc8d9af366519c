"""Blocks of long vectors that stay in a CPU's cache while several operations work on them."""

from collections.abc import Iterator

import torch

# Float32 vectors of this length take 512 KiB each.
_BLOCK = 1 << 17


def cache_blocks(segment: slice, device: torch.device) -> Iterator[slice]:
    """Yield ``segment`` in blocks on a CPU, and whole on a GPU, where few long operations are faster.

    >>> list(cache_blocks(slice(5, 200_000), torch.device("cpu")))
    [slice(5, 131077, None), slice(131077, 200000, None)]
    """
    step = _BLOCK if device.type == "cpu" else max(1, segment.stop - segment.start)
    for start in range(segment.start, segment.stop, step):
        yield slice(start, min(start + step, segment.stop))
