"""Place the workers of a run on the devices of its machines. Without torchrun, this process starts them all.

    torchrun --nnodes 2 --nproc-per-node 8 train.py --exchange.method collective

starts this program once per worker, with the worker's rank in the environment.
"""

from collections.abc import Mapping, Sequence

from ..errors import ConfigError

# Exchanges whose processes connect through the environment that torchrun sets.
_METHODS = ("collective", "hierarchical")


def count_workers(n_devices: int, environment: Mapping[str, str]) -> int:
    """Return the number of workers of the whole run. Without torchrun it is the number of devices.

    >>> count_workers(1, {}), count_workers(1, {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "16"})
    (1, 16)
    """
    return int(environment["WORLD_SIZE"]) if is_under_torchrun(environment) else n_devices


def local_workers(n_devices: int, environment: Mapping[str, str]) -> int:
    """Return the number of workers on this machine. Without torchrun it is the number of devices.

    >>> local_workers(2, {}), local_workers(16, {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "8"})
    (2, 8)
    """
    return int(environment["LOCAL_WORLD_SIZE"]) if is_under_torchrun(environment) else n_devices


def place_workers(
    devices: tuple[str, ...], exchange_method: str, environment: Mapping[str, str]
) -> tuple[tuple[str, ...], Sequence[int]]:
    """Return the device of every worker of the run, by rank, and the ranks that this process starts.

    Under torchrun ``devices`` names the devices of this machine, one per worker or one for all (``auto``). Raises
    ConfigError if that does not fit what torchrun started.
    """
    if not is_under_torchrun(environment):
        if exchange_method in _METHODS and len(devices) > 1:
            raise ConfigError(
                f"exchange.method {exchange_method} needs torchrun: torchrun --nproc-per-node {len(devices)} train.py "
                "...; on one machine exchange.method peer needs no torchrun"
            )
        return devices, range(len(devices))
    rank, world_size, local_world_size = (int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if world_size > 1 and exchange_method not in _METHODS:
        raise ConfigError(
            f"torchrun started {world_size} workers, but exchange.method is {exchange_method}; "
            "set exchange.method to collective or hierarchical, or start train_2gpu.py without torchrun"
        )
    if len(devices) not in (1, local_world_size):
        raise ConfigError(
            f"devices names {len(devices)} devices, but torchrun started {local_world_size} workers on this machine; "
            "name one device per worker, or one for all, e.g. [auto]"
        )
    return tuple(devices[r % len(devices)] for r in range(world_size)), [rank]


def is_under_torchrun(environment: Mapping[str, str]) -> bool:
    """Return whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in environment
