"""Random choices as pure functions of a key such as (seed, epoch), through a counter-based generator (Philox).

No generator state is stored. Any worker can compute any choice, and a resumed run repeats those of the whole run.
"""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """The purpose of a random choice; choices for different purposes never share random numbers."""

    ORDER = 1
    AUGMENT = 2
    DROPOUT = 3
    ROLLBACK = 4


def numpy_generator(stream: Stream, *key: int) -> np.random.Generator:
    """Return a generator that depends only on its arguments."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((stream, *key))))


def torch_seed(stream: Stream, *key: int) -> int:
    """Return a seed for torch's generators, 0 to 2^63 - 1, that depends only on the arguments.

    >>> torch_seed(Stream.DROPOUT, 1, 0, 5, 0) != torch_seed(Stream.DROPOUT, 1, 0, 5, 1)
    True
    """
    return int(np.random.SeedSequence((stream, *key)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def rollback_seed(seed: int, rollbacks: int) -> int:
    """Return the seed of a training after ``rollbacks`` returns to a checkpoint: the same order would diverge again.

    >>> seeds = [rollback_seed(1, rollbacks) for rollbacks in range(3)]
    >>> seeds[0], len(set(seeds))
    (1, 3)
    """
    return torch_seed(Stream.ROLLBACK, seed, rollbacks) if rollbacks else seed
