from pathlib import Path

import numpy as np

from lib.config.schema import AugmentConfig, DataConfig
from lib.data.order import BatchOrder
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
