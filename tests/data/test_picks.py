from pathlib import Path

import numpy as np

from lib.config import Config, DataConfig
from lib.data.hickle_data import HICKLE
from lib.data.picks import Picks
from lib.data.plan import Plan


def test_after_a_rewind_loader_and_trainer_take_other_images_and_agree_on_them(data_set: Path) -> None:
    config = Config(data=DataConfig(dir=data_set), devices=("cpu",), batch_size=16)
    data = HICKLE.describe(config.data)
    picks = Picks(config, data, {"train": np.zeros(48, np.int64), "val": np.zeros(20, np.int64)}, rank=0)
    orders = {}
    for rewinds in (0, 1, 2, 0):
        plan = Plan(config, data, rank=0, crop=28, rewinds=rewinds)
        asks = list(plan.training(3))
        rows = [picks.rows("train", 3, ask.batch, ask.rewinds) for ask in asks]
        assert [r.tolist() for r in rows] == [plan.train.indices(3, batch).tolist() for batch in range(3)]
        orders[rewinds] = (np.concatenate(rows).tobytes(), np.concatenate([ask.views for ask in asks]).tobytes())
        assert sorted(np.concatenate(rows)) == list(range(48))
        assert picks.rows("val", 3, 1, rewinds).tolist() == [16, 17, 18, 19]
    assert len({order for order, _ in orders.values()}) == len({views for _, views in orders.values()}) == 3
