"""Each synchronization strategy equals a NumPy transcription; all replicas validate and save equal weights."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lib.config.schema import ExchangeConfig, OptimizerConfig
from lib.exchange.alone import Alone
from lib.exchange.peer import Peer
from lib.roles.sync_builder import build_sync
from lib.training.flat import FlatParameters
from lib.training.optimizer import MomentumSGD
from lib.training.periodic_sync import Elastic
from lib.training.sync import SyncStrategy
from tests.support.replicas import CPU, run_replicas

WORKERS, RATE, MOMENTUM = 3, 0.05, 0.9
OPTIMIZER = OptimizerConfig(momentum=MOMENTUM, bias_rate_factor=1.0)
ELASTIC = ExchangeConfig(rule="elastic", alpha=0.2, every=3)
Row = np.ndarray[Any, np.dtype[np.float32]]


def noise(step: int, rank: int, numel: int) -> torch.Tensor:
    return torch.randn(numel, generator=torch.Generator().manual_seed(10 * step + rank))


class Worker:
    """One replica with a strategy, and gradients and float buffers that differ by step and rank."""

    def __init__(self, model: nn.Module, config: ExchangeConfig, peer: Peer | Alone, rank: int, workers: int) -> None:
        self.rank, self.peer, self.step = rank, peer, 0
        self.flat = FlatParameters(copy.deepcopy(model), peer.allocate)
        optimizer = MomentumSGD(self.flat, OPTIMIZER)
        optimizer.set(RATE, 0.0)
        self.rule: SyncStrategy = build_sync(config, optimizer, self.flat, peer, workers)

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.flat.gradients.copy_(noise(self.step, self.rank, len(self.flat.gradients)))
            self.flat.buffers.copy_(noise(self.step, self.rank, len(self.flat.buffers)))
            self.rule.update(slice(0, len(self.flat.parameters)))
            self.step += 1

    def synchronized(self) -> Row:
        with self.rule.synchronized():
            self.peer.verify(self.flat.state)
            return self.row()

    def row(self) -> Row:
        return self.flat.state.numpy().copy()


class Transcription:
    """The same in NumPy for all replicas: weights, momentum and buffers by rank."""

    def __init__(self, flat: FlatParameters) -> None:
        self.w, self.v, self.b = (
            np.stack([part.numpy().copy()] * WORKERS) for part in (flat.parameters, flat.momentum, flat.buffers)
        )
        self.centre, self.step = self.w[0].copy(), 0

    def train(self, steps: int) -> None:
        for _ in range(steps):
            g, self.b = (
                np.stack([noise(self.step, rank, row.shape[1]).numpy() for rank in range(WORKERS)])
                for row in (self.w, self.b)
            )
            self.v = MOMENTUM * self.v - RATE * g
            self.w = self.w + self.v
            self.step += 1

    def all_reduce_mean(self) -> None:
        self.w, self.v, self.b = (np.broadcast_to(x.mean(axis=0), x.shape) for x in (self.w, self.v, self.b))

    def pull(self, alpha: float) -> None:
        difference = self.w - self.centre
        self.w = self.w - alpha * difference
        self.centre = self.centre + alpha * difference.sum(axis=0)
        self.b = np.broadcast_to(self.b.mean(axis=0), self.b.shape)

    def row(self, rank: int) -> Row:
        return np.concatenate([self.w[rank], self.v[rank], self.b[rank]])

    def at_rest(self) -> Row:
        return np.concatenate([self.centre, np.zeros_like(self.centre), self.b.mean(axis=0)])


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(40, 30), nn.BatchNorm1d(30), nn.Linear(30, 5))


def ours(model: nn.Module, folder: Path, config: ExchangeConfig, body: Callable[[Worker], Any]) -> list[Any]:
    return run_replicas(WORKERS, lambda peer, rank: body(Worker(model, config, peer, rank, WORKERS)), folder)


def close(actual: Row, expected: Row) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_local_sgd_equals_its_numpy_transcription(tmp_path: Path, model: nn.Module) -> None:
    """Seven updates with an average every third, then one more average, because validation needs equal replicas."""

    def body(worker: Worker) -> list[Row]:
        rows = []
        for steps in (3, 4):
            worker.train(steps)
            rows.append(worker.row())
        assert not worker.rule.in_sync
        rows.append(worker.synchronized())
        assert worker.rule.in_sync
        worker.train(2)
        assert not worker.rule.in_sync  # the next average comes three updates after that one
        return rows

    there = Transcription(FlatParameters(copy.deepcopy(model), torch.zeros))
    expected = []
    for steps in (3, 3):
        there.train(steps)
        there.all_reduce_mean()
        expected.append([there.row(rank) for rank in range(WORKERS)])
    there.train(1)
    expected[1] = [there.row(rank) for rank in range(WORKERS)]
    there.all_reduce_mean()
    expected.append([there.row(rank) for rank in range(WORKERS)])
    results = ours(model, tmp_path, ExchangeConfig(every=3), body)
    for rank, rows in enumerate(results):
        for row, by_rank in zip(rows, expected, strict=True):
            close(row, by_rank[rank])
        assert np.array_equal(rows[2], results[0][2])
        assert np.array_equal(rows[1], results[0][1]) == (rank == 0)


def test_elastic_averaging_equals_its_numpy_transcription(tmp_path: Path, model: nn.Module) -> None:
    def body(worker: Worker) -> tuple[Row, Row, Row, Row]:
        worker.train(6)
        assert worker.rule.in_sync
        pulled = worker.row()
        worker.train(1)
        before = worker.row()
        centre = worker.synchronized()
        return pulled, before, centre, worker.row()

    there = Transcription(FlatParameters(copy.deepcopy(model), torch.zeros))
    for _ in range(2):
        there.train(3)
        there.pull(ELASTIC.alpha)
    there_pulled = [there.row(rank) for rank in range(WORKERS)]
    there.train(1)
    n_replica = 2 * there.w.shape[1]
    for rank, (pulled, before, centre, after) in enumerate(ours(model, tmp_path, ELASTIC, body)):
        close(pulled, there_pulled[rank])
        close(before, there.row(rank))
        close(centre, there.at_rest())
        assert np.array_equal(before[:n_replica], after[:n_replica])  # each replica continues from its own weights


def test_after_a_restart_the_center_is_the_restored_weights(tmp_path: Path, model: nn.Module) -> None:
    """A resume or rollback copies the weights of an earlier checkpoint to all replicas."""

    def body(worker: Worker) -> tuple[Row, Row]:
        worker.train(3)
        saved = worker.synchronized()
        worker.train(4)
        worker.flat.state.copy_(torch.from_numpy(saved))
        worker.rule.reset()
        assert worker.rule.in_sync
        return saved, worker.synchronized()

    for saved, centre in ours(model, tmp_path, ELASTIC, body):
        assert np.array_equal(saved, centre)


@pytest.mark.parametrize("config", [ExchangeConfig(every=50), ExchangeConfig(rule="elastic", every=50)])
def test_all_workers_stop_after_the_same_update_between_exchanges(
    tmp_path: Path, model: nn.Module, config: ExchangeConfig
) -> None:
    def body(worker: Worker) -> int:
        for step in range(20):
            if step == 7 and worker.rank == 1:
                worker.peer.request_stop()
            worker.train(1)
            worker.peer.sync_stop()
            if worker.peer.stopping:
                return step
        return -1

    assert ours(model, tmp_path, config, body) == [7] * WORKERS


@pytest.mark.parametrize("config", [ExchangeConfig(every=2), ELASTIC])
def test_one_worker_ignores_the_exchange_rule(model: nn.Module, config: ExchangeConfig) -> None:
    rows = []
    for each in (ExchangeConfig(), config):
        worker = Worker(model, each, Alone(CPU), rank=0, workers=1)
        worker.train(5)
        rows.append(worker.synchronized())
    assert np.array_equal(rows[0], rows[1])


def test_the_moving_rate_defaults_to_that_of_the_paper(model: nn.Module) -> None:
    """The center moves 0.9 of the way to the mean (beta), for any number of workers."""
    flat = FlatParameters(model, torch.zeros)
    peer = Alone(CPU)
    optimizer = MomentumSGD(flat, OPTIMIZER)
    rule = build_sync(ExchangeConfig(rule="elastic"), optimizer, flat, peer, 3)
    assert isinstance(rule, Elastic)
    before = flat.parameters.clone()
    flat.gradients.fill_(1.0)
    optimizer.set(1.0, 0.0)
    rule.update(slice(0, len(flat.parameters)))  # replicas and their mean move to before - 1, then back by 0.3
    torch.testing.assert_close(flat.parameters, before - 0.7)
    with rule.synchronized():
        torch.testing.assert_close(flat.parameters, before - 0.9)
