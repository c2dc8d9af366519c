"""Two machines of two workers each, as four processes: shared memory within, gloo between."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib.errors import ConfigError, ProtocolError
from lib.exchange.hierarchical import find_neighbors
from tests.support.hierarchical_worker import NUMEL, WORKERS
from tests.support.scripts import ROOT


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    out = tmp_path_factory.mktemp("hierarchical")
    environment = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    words = [sys.executable, "-m", "tests.support.hierarchical_worker", str(out)]
    workers = [
        subprocess.Popen([*words, str(rank)], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        for rank in range(WORKERS)
    ]
    try:
        errors = [worker.communicate(timeout=90)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0] * WORKERS, errors
    return [np.load(out / f"{rank}.npz") for rank in range(WORKERS)]


def test_all_replicas_of_all_machines_hold_the_mean_bit_for_bit(results: list[Any]) -> None:
    mean = np.mean([result["before"] for result in results], axis=0, dtype=np.float64)
    for result in results:
        assert result["after"].tobytes() == results[0]["after"].tobytes()
        np.testing.assert_allclose(result["after"], mean, rtol=1e-5, atol=1e-6)
        assert result["small"].tolist() == [6.0] * 3  # fewer numbers than chunks


def test_broadcast_gather_and_stop_reach_all_machines(results: list[Any]) -> None:
    for result in results:
        assert np.array_equal(result["first"], results[0]["first"])
        assert result["left"] == 2
        assert result["gathered"].tolist() == [[0.0], [1.0], [2.0], [3.0]]
        assert result is results[2] or int(result["waits"]) > 10  # a worker that waits reports it
        assert f"replica 3 differs from replica 0 in 1 of {NUMEL} elements" in str(result["found"])


class FakeCollective:
    """A ``Collective`` in which the workers gather ``rows``."""

    def __init__(self, rows: list[tuple[int, int]], folder: Path) -> None:
        self._rows = [(*row, *os.fsencode(folder)) for row in rows]

    def all_gather(self, values: list[float]) -> list[tuple[float, ...]]:
        return self._rows


def test_machines_with_different_numbers_of_workers_are_refused(tmp_path: Path) -> None:
    collective: Any = FakeCollective([(0, 0), (0, 1), (1, 0)], tmp_path)
    with pytest.raises(ConfigError, match="same number of workers on each machine, but torchrun started 1 and 2"):
        find_neighbors(collective, 0, 0, tmp_path)


@pytest.mark.parametrize("mode", [0o755, 0o1700])
def test_a_folder_that_other_users_can_enter_is_refused(tmp_path: Path, mode: int) -> None:
    collective: Any = FakeCollective([(0, 0), (0, 1)], tmp_path)
    tmp_path.chmod(mode)
    with pytest.raises(ProtocolError, match="is not a folder of this user with mode 0700"):
        find_neighbors(collective, 0, 1, tmp_path)
    tmp_path.chmod(0o700)
    assert find_neighbors(collective, 0, 1, tmp_path).folder == tmp_path
