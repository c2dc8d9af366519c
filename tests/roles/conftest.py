"""Fixtures for trainings in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.support.data_sets import write_data_set


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Use one PyTorch thread: more would only slow down a network this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def small_data_set(tmp_path: Path) -> Path:
    return write_data_set(tmp_path / "data", train=24, val=16).dir
