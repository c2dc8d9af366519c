from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lib.config.schema import Config, DataConfig, ExchangeConfig, LoggingConfig, RunConfig
from lib.data.plan import BatchRequest, Plan
from lib.data.sources.hickle_folder import HICKLE
from lib.data.subset import SubsetOrder

CONFIG = Config(
    devices=("cpu", "cpu"),
    batch_size=6,
    exchange=ExchangeConfig(method="peer"),
    run=RunConfig(n_epochs=2),
    logging=LoggingConfig(val_freq=2, val_images=7),
)


def requests(folder: Path, config: Config, *, epoch: int = 0, first: int = 0, rank: int = 0) -> list[BatchRequest]:
    return list(Plan(config, HICKLE.describe(DataConfig(dir=folder)), rank=rank, crop=28).run(epoch, first))


def place(ask: BatchRequest) -> tuple[str, int, int]:
    return ask.split, ask.epoch, ask.batch


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("wanted", [1, 7, 20, 50])
def test_the_same_images_for_any_number_of_workers_each_once_and_spread(world_size: int, wanted: int) -> None:
    orders = [
        SubsetOrder(total=20, wanted=wanted, batch_size=2, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    found = np.concatenate([o.indices(3, i) for i in range(orders[0].iterations) for o in orders])
    count = min(wanted, 20)
    assert found.tolist() == [i * 20 // count for i in range(count)]
    assert len(set(found.tolist())) == count


def test_it_comes_between_iterations_never_at_the_ends_of_an_epoch(data_set: Path) -> None:
    subset = [("val_subset", 0, 0)]
    train = [("train", 0, i) for i in range(4)]
    val = [("val", 0, i) for i in range(2)]
    assert [place(ask) for ask in requests(data_set, CONFIG)][:8] == [
        *train[:2],
        *subset,
        *train[2:],
        *val,
        ("train", 1, 0),
    ]


def test_the_training_around_it_is_what_it_would_be_without(data_set: Path) -> None:
    without = requests(data_set, replace(CONFIG, logging=LoggingConfig()))
    rest = [ask for ask in requests(data_set, CONFIG) if ask.split != "val_subset"]
    assert [place(ask) for ask in rest] == [place(ask) for ask in without]
    assert all(np.array_equal(a.params, b.params) for a, b in zip(rest, without, strict=True))


def test_a_run_resumed_where_it_is_due_evaluates_it(data_set: Path) -> None:
    whole = requests(data_set, CONFIG)
    assert [place(ask) for ask in requests(data_set, CONFIG, first=2)] == [place(ask) for ask in whole[2:]]
    assert [place(ask) for ask in requests(data_set, CONFIG, first=3)] == [place(ask) for ask in whole[4:]]
