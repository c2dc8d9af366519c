from pathlib import Path

import numpy as np

from lib.config.schema import Config, DataConfig
from lib.data.plan import Plan
from lib.data.sampler import Sampler
from lib.data.sources.hickle_folder import HICKLE


def test_after_a_rollback_loader_and_trainer_take_other_images_and_agree_on_them(data_set: Path) -> None:
    config = Config(data=DataConfig(dir=data_set), devices=("cpu",), batch_size=16)
    data = HICKLE.describe(config.data)
    sampler = Sampler(config, data, {"train": np.zeros(48, np.int64), "val": np.zeros(20, np.int64)}, rank=0)
    orders = {}
    for rollbacks in (0, 1, 2, 0):
        plan = Plan(config, data, rank=0, crop=28, rollbacks=rollbacks)
        requests = list(plan.training(3))
        rows = [sampler.rows("train", 3, ask.batch, ask.rollbacks) for ask in requests]
        assert [r.tolist() for r in rows] == [plan.train.indices(3, batch).tolist() for batch in range(3)]
        orders[rollbacks] = (np.concatenate(rows).tobytes(), np.concatenate([ask.params for ask in requests]).tobytes())
        assert sorted(np.concatenate(rows)) == list(range(48))
        assert sampler.rows("val", 3, 1, rollbacks).tolist() == [16, 17, 18, 19]
    assert len({order for order, _ in orders.values()}) == len({views for _, views in orders.values()}) == 3
