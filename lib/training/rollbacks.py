"""After a rollback a training goes on as if it had another seed: the same order would lead to the same end."""

from dataclasses import replace

from lib.config.schema import Config
from lib.rng import Stream, torch_seed


def with_rollback_seed(config: Config, rollbacks: int) -> Config:
    """``config`` with the seed that holds after so many rollbacks.

    >>> seeds = [with_rollback_seed(Config(), rollbacks).run.seed for rollbacks in range(3)]
    >>> seeds[0], len(set(seeds))
    (1, 3)
    """
    if not rollbacks:
        return config
    return replace(config, run=replace(config.run, seed=torch_seed(Stream.ROLLBACK, config.run.seed, rollbacks)))
