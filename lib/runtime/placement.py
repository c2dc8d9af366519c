"""Which workers of a run this process starts: all of them, or the one that PyTorch's launcher gave it.

    torchrun --nnodes 2 --nproc-per-node 8 train.py --exchange.method collective

starts this program once for each worker, with the worker's place in the environment.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from lib.config.schema import Config
from lib.errors import ConfigError

LAUNCHED = ("collective", "hierarchical")
"""methods of exchange whose processes find each other as PyTorch's launcher arranged it"""


def workers(devices: int, environment: Mapping[str, str]) -> int:
    """How many workers the whole run has, where this machine's part of the configuration names so many devices.

    >>> workers(1, {}), workers(1, {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "16"})
    (1, 16)
    """
    return int(environment["WORLD_SIZE"]) if _launched(environment) else devices


def place(config: Config, environment: Mapping[str, str]) -> tuple[Config, Sequence[int]]:
    """The configuration with one device a worker of the whole run, and the ranks to be started here.

    Under torchrun ``config.devices`` names this machine's devices, one for each of its workers, or one for all
    (``auto``). Raises ConfigError when it does not fit what torchrun started.
    """
    if not _launched(environment):
        if config.exchange.method in LAUNCHED and config.world_size > 1:
            raise ConfigError(
                f"exchange.method {config.exchange.method} needs PyTorch's launcher: torchrun --nproc-per-node "
                f"{config.world_size} train.py ...; on one machine exchange.method peer does without"
            )
        return config, range(config.world_size)
    rank, world_size, local_world_size = (int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if world_size > 1 and config.exchange.method not in LAUNCHED:
        raise ConfigError(
            f"torchrun started {world_size} workers, but exchange.method is {config.exchange.method}; "
            "set exchange.method to collective or hierarchical, or start train_2gpu.py without torchrun"
        )
    if len(config.devices) not in (1, local_world_size):
        raise ConfigError(
            f"devices names {len(config.devices)} devices, but torchrun started {local_world_size} workers on this "
            "machine; name as many, or just one, e.g. [auto]"
        )
    here = config.devices * local_world_size if len(config.devices) == 1 else config.devices
    devices = tuple(here[r % local_world_size] for r in range(world_size))
    return dataclasses.replace(config, devices=devices), [rank]


def _launched(environment: Mapping[str, str]) -> bool:
    return "TORCHELASTIC_RUN_ID" in environment
