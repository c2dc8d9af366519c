"""Fixtures for trainings in this process."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
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


@pytest.fixture(autouse=True)
def one_npy_header_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one thread read a .npy file at a time: ``ast``, which parses the header, fails in threads of Python 3.11.

    Only in tests do several workers live in one process.
    """
    lock, read_array = threading.Lock(), np.lib.format.read_array

    def locked(*arguments: Any, **options: Any) -> np.ndarray:
        with lock:
            return read_array(*arguments, **options)

    monkeypatch.setattr(np.lib.format, "read_array", locked)


@pytest.fixture
def small_data_set(tmp_path: Path) -> Path:
    return write_data_set(tmp_path / "data", train=24, val=16).dir
