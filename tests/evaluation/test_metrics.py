import numpy as np
import pytest
import torch

from lib.evaluation.metrics import Meter, Metrics, label_ranks


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_against_numpy(k: int) -> None:
    rng = np.random.default_rng(k)
    logits = rng.integers(0, 6, (200, 8)).astype(np.float32)  # many ties
    labels = rng.integers(0, 8, 200)
    order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    expected = sum(label not in row for label, row in zip(labels, order, strict=True))
    assert int((label_ranks(torch.from_numpy(logits), torch.from_numpy(labels)) >= k).sum()) == expected


def test_top_1_is_argmax() -> None:
    logits = torch.randn(64, 10).bfloat16()
    labels = torch.randint(10, (64,))
    assert (label_ranks(logits, labels) >= 1).sum() == (logits.argmax(1) != labels).sum()


def test_a_label_whose_logit_is_nan_is_wrong() -> None:
    logits = torch.tensor([[float("nan"), 0.0], [float("nan")] * 2])
    assert (label_ranks(logits, torch.tensor([0, 1])) >= 1).tolist() == [True, True]


def test_fewer_classes_than_five_are_never_wrong_at_five() -> None:
    assert not (label_ranks(torch.randn(9, 3), torch.randint(3, (9,))) >= 5).any()


def test_meter_sums_exactly_and_restarts_from_zero() -> None:
    meter = Meter(torch.device("cpu"))
    logits, labels = torch.eye(6), torch.arange(6)
    labels[5] = 0
    for iteration in range(3):
        meter.add(logits, labels, torch.tensor(1.25), iteration)
    sums, bad_at = meter.take()
    assert sums == [3.75, 3.0, 0.0, 18.0]
    assert bad_at == float("inf")
    assert Metrics.of(sums) == Metrics(3.75 / 18, 3 / 18, 0.0, 18)
    assert meter.take()[0] == [0.0] * 4


def test_meter_returns_the_first_iteration_whose_loss_is_nan_or_infinite() -> None:
    meter = Meter(torch.device("cpu"))
    for iteration, loss in enumerate([1.0, float("nan"), 2.0, float("inf")]):
        meter.add(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64), torch.tensor(loss), iteration)
    assert meter.take()[1] == 1


def test_logged_values_are_averaged_over_their_interval() -> None:
    meter = Meter(torch.device("cpu"))
    assert meter.note().means() == {}
    meter.log("gradient_norm", torch.tensor(1.0))
    meter.log("gradient_norm", torch.tensor(4.0))
    meter.log("memory", 8.0)
    noted = meter.note()
    assert noted.means() == {"gradient_norm": 2.5, "memory": 8.0}
    assert noted.take() == ([0.0] * 4, float("inf"))
    meter.log("memory", 3.0)
    assert meter.note().means() == {"memory": 3.0}
