from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lib.config.schema import AugmentConfig, DataConfig
from lib.data.dataset import DataSet
from lib.data.order import BatchOrder, subset_order
from lib.data.plan import BatchRequest, Plan
from lib.data.sampler import Sampler
from lib.data.sources.hickle_folder import HICKLE

ORDER = BatchOrder(seed=1, n_epochs=2, batch_size=6, world_size=2, val_freq=2, val_images=7)


def requests(folder: Path, order: BatchOrder = ORDER, *, first: int = 0) -> list[BatchRequest]:
    data = HICKLE.describe(DataConfig(dir=folder))
    return list(Plan(order, AugmentConfig(), data, rank=0, crop=28).run(0, first))


def place(request: BatchRequest) -> tuple[str, int, int]:
    return request.phase, request.epoch, request.batch


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("max_images", [1, 7, 20, 50])
def test_any_number_of_workers_evaluates_the_same_evenly_spread_images_once(world_size: int, max_images: int) -> None:
    data = DataSet(where="", img_size=8, train_counts=(9,), val_counts=(12, 8), classes=(), fingerprint="")
    order = BatchOrder(seed=1, batch_size=2, world_size=world_size, val_images=max_images)
    samplers = [Sampler(order, data, np.zeros(9, np.int64), rank) for rank in range(world_size)]
    iterations = subset_order(order, data, 0).iterations
    found = np.concatenate([s.indices("val_subset", 3, i) for i in range(iterations) for s in samplers])
    count = min(max_images, 20)
    assert found.tolist() == [i * 20 // count for i in range(count)]
    assert len(set(found.tolist())) == count


def test_the_subset_is_evaluated_between_iterations_and_never_at_the_ends_of_an_epoch(data_set: Path) -> None:
    subset = [("val_subset", 0, 0)]
    train = [("train", 0, i) for i in range(4)]
    val = [("val", 0, i) for i in range(2)]
    assert [place(request) for request in requests(data_set)][:8] == [
        *train[:2],
        *subset,
        *train[2:],
        *val,
        ("train", 1, 0),
    ]


def test_the_subset_does_not_change_the_training(data_set: Path) -> None:
    without = requests(data_set, replace(ORDER, val_freq=0))
    rest = [request for request in requests(data_set) if request.phase != "val_subset"]
    assert [place(request) for request in rest] == [place(request) for request in without]
    assert all(np.array_equal(a.params, b.params) for a, b in zip(rest, without, strict=True))


def test_a_run_resumed_where_the_subset_is_due_evaluates_it(data_set: Path) -> None:
    whole = requests(data_set)
    assert [place(request) for request in requests(data_set, first=2)] == [place(request) for request in whole[2:]]
    assert [place(request) for request in requests(data_set, first=3)] == [place(request) for request in whole[4:]]
