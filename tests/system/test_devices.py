import re

import pytest

from lib.errors import ConfigError
from lib.system.devices import choose_device


@pytest.mark.parametrize(
    ("wanted", "n_gpus", "chosen"),
    [
        (["auto"], 0, ["cpu"]),
        (["auto"], 4, ["cuda:0"]),
        (["auto", "auto"], 2, ["cuda:0", "cuda:1"]),
        (["auto", "auto"], 1, ["cuda:0", "cuda:0"]),
        (["cuda:10", "cpu"], 11, ["cuda:10", "cpu"]),
    ],
)
def test_choice(wanted: list[str], n_gpus: int, chosen: list[str]) -> None:
    assert [str(choose_device(wanted, rank, n_gpus)) for rank in range(len(wanted))] == chosen


@pytest.mark.parametrize(
    ("name", "n_gpus", "says"),
    [
        ("cuda:1", 1, "cuda:1: there is no such device here; there are cpu, cuda:0, or say auto"),
        ("cuda:0", 0, "there are cpu, or say auto"),
        ("gpu0", 2, "gpu0: that is no device name; there are cpu, cuda:0, cuda:1"),
        ("cuda", 2, "that is no device name"),
    ],
)
def test_a_device_that_is_not_there(name: str, n_gpus: int, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        choose_device([name], 0, n_gpus)
