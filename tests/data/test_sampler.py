from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from lib.config.schema import AugmentConfig, DataConfig
from lib.data.dataset import DataSet
from lib.data.order import BatchOrder, subset_order
from lib.data.plan import Plan
from lib.data.sampler import Sampler
from lib.data.sources.hickle_folder import HICKLE


def test_after_a_rollback_loader_and_trainer_agree_on_a_new_order(data_set: Path) -> None:
    order = BatchOrder(seed=1, batch_size=16)
    data = HICKLE.describe(DataConfig(dir=data_set))
    sampler = Sampler(order, data, np.zeros(48, np.int64), rank=0)
    orders = {}
    for rollbacks in (0, 1, 2, 0):
        plan = Plan(order, AugmentConfig(), data, rank=0, crop=28, rollbacks=rollbacks)
        requests = list(plan.training(3))
        rows = [sampler.indices("train", 3, request.batch, request.rollbacks) for request in requests]
        assert [r.tolist() for r in rows] == [plan.train.indices(3, batch).tolist() for batch in range(3)]
        orders[rollbacks] = (
            np.concatenate(rows).tobytes(),
            np.concatenate([request.params for request in requests]).tobytes(),
        )
        assert sorted(np.concatenate(rows)) == list(range(48))
        assert sampler.indices("val", 3, 1, rollbacks).tolist() == [16, 17, 18, 19]
    assert len({images for images, _ in orders.values()}) == len({drawn for _, drawn in orders.values()}) == 3


@pytest.mark.parametrize("sampling", ["shuffled", "class_uniform"])
def test_norms_are_measured_on_the_images_of_the_epoch(data_set: Path, sampling: Literal["shuffled"]) -> None:
    data = HICKLE.describe(DataConfig(dir=data_set))
    order = BatchOrder(seed=1, batch_size=16, sampling=sampling, norm_images=16)
    sampler = Sampler(order, data, np.arange(48) % 3, rank=0)
    for rollbacks in (0, 1):
        trained, measured = (sampler.indices(phase, 3, 1, rollbacks).tolist() for phase in ("train", "norms"))
        assert trained == measured


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
