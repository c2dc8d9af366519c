"""Tests of ``lib.system.devices.choose_device``."""

import re

import pytest

from lib.errors import ConfigError
from lib.system.devices import choose_device


@pytest.mark.parametrize(
    ("names", "n_gpus", "chosen"),
    [
        (["auto"], 0, ["cpu"]),
        (["auto"], 4, ["cuda:0"]),
        (["auto", "auto"], 2, ["cuda:0", "cuda:1"]),
        (["auto", "auto"], 1, ["cuda:0", "cuda:0"]),
        (["cuda:10", "cpu"], 11, ["cuda:10", "cpu"]),
    ],
)
def test_auto_takes_the_gpus_in_turn_or_the_cpu(names: list[str], n_gpus: int, chosen: list[str]) -> None:
    assert [str(choose_device(names, rank, n_gpus)) for rank in range(len(names))] == chosen


@pytest.mark.parametrize(
    ("name", "n_gpus", "message"),
    [
        ("cuda:1", 1, "cuda:1: there is no such device here; use auto or one of: cpu, cuda:0"),
        ("cuda:0", 0, "use auto or one of: cpu"),
        ("gpu0", 2, "gpu0: this is not a device name; use auto or one of: cpu, cuda:0, cuda:1"),
        ("cuda", 2, "this is not a device name"),
    ],
)
def test_a_missing_device_is_refused_with_the_available_ones(name: str, n_gpus: int, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        choose_device([name], 0, n_gpus)
