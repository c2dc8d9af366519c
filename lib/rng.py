"""Every random choice is a pure function of a key such as (seed, epoch), through a counter-based generator.

So nobody keeps random state: any worker can look up any choice, and a resumed run makes the ones that an
uninterrupted run would have made.
"""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What the choice is about, so that two kinds of choice never share random numbers."""

    ORDER = 1
    AUGMENT = 2
    DROPOUT = 3
    ROLLBACK = 4


def numpy_generator(stream: Stream, *key: int) -> np.random.Generator:
    """A generator that depends on nothing but its arguments."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((stream, *key))))


def torch_seed(stream: Stream, *key: int) -> int:
    """A seed for torch's generators, 0 to 2^63 - 1.

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
