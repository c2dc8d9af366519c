"""After a rewind a training goes on as if it had another seed: the same order would lead to the same end."""

from dataclasses import replace

from lib import chance
from lib.config import Config


def rewound(config: Config, rewinds: int) -> Config:
    """``config`` with the seed that holds after so many rewinds.

    >>> seeds = [rewound(Config(), rewinds).run.seed for rewinds in range(3)]
    >>> seeds[0], len(set(seeds))
    (1, 3)
    """
    if not rewinds:
        return config
    return replace(
        config, run=replace(config.run, seed=chance.torch_seed(chance.Stream.REWIND, config.run.seed, rewinds))
    )
