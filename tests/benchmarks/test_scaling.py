"""The comparisons of ``benchmarks.scaling``, without running a training."""

import argparse

import pytest

from benchmarks.harness import Row, rows
from benchmarks.scaling import WAYS, _comparisons


def measured(case: str, speeds: dict[str, float]) -> list[Row]:
    return rows(case, "images/s", {f"{name}, synthetic": [speed] for name, speed in speeds.items()})


def test_every_way_is_compared_with_one_worker_of_the_same_network() -> None:
    one = measured("1", {"weights": 100.0, "resnet50": 10.0})
    four = measured("4", {"weights": 300.0, "collective": 200.0, "resnet50": 39.0})
    found = dict(_comparisons([*one, *four], argparse.Namespace(batch_size=8)))
    over_one = {key: value for key, value in found.items() if key.endswith("over one")}
    assert over_one == {
        "4 workers, weights, synthetic, over one": 3.0,
        "4 workers, collective, synthetic, over one": 2.0,
        "4 workers, resnet50, synthetic, over one": pytest.approx(3.9),
    }


def test_on_a_gpu_what_the_model_predicts_stands_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.command.has_gpu", lambda: True)
    results = [*measured("1", {"weights": 54_400.0}), *measured("2", {"weights": 104_900.0})]
    found = dict(_comparisons(results, argparse.Namespace(batch_size=128)))
    assert found["2 workers, weights, synthetic, over the model"] == pytest.approx(1, abs=0.05)
    assert WAYS["collective"].predicted is None
