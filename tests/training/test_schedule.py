import math
from typing import Literal

import pytest
import torch

from lib.config.schema import Regime, ScheduleConfig
from lib.models.recipes import SOUMITH
from lib.training.schedule import cosine, flat_cosine, learning_rate, one_cycle, weight_decay


def rates(schedule: ScheduleConfig, errors: list[float]) -> list[float]:
    """Return the rate of each epoch, given the validation errors of the epochs before it."""
    return [learning_rate(1.0, schedule, epoch=e, n_epochs=100, val_errors=errors[:e]) for e in range(len(errors) + 1)]


def test_step_divides_at_the_end_of_the_given_epochs() -> None:
    schedule = ScheduleConfig(policy="step", steps=(2, 4))
    assert rates(schedule, [0.5] * 5) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_step_does_not_depend_on_where_the_run_was_resumed() -> None:
    schedule = ScheduleConfig(policy="step", steps=(20, 40))
    assert learning_rate(0.01, schedule, epoch=50, n_epochs=60, val_errors=[]) == pytest.approx(1e-4)


def test_auto_waits_for_a_plateau() -> None:
    falling = [0.9 - 0.05 * i for i in range(12)]
    assert rates(ScheduleConfig(policy="auto"), falling) == [1.0] * 13


def test_auto_divides_once_for_each_plateau() -> None:
    #         1    2    3    4    5    6    7    8 -> plateau: 9 and 10 are compared only with each other
    errors = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.4, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1]
    assert rates(ScheduleConfig(policy="auto"), errors) == pytest.approx([1] * 8 + [0.1] * 5 + [0.01])


def test_auto_leaves_the_first_five_epochs_alone() -> None:
    assert rates(ScheduleConfig(policy="auto"), [0.9] * 5) == [1.0] * 6
    assert rates(ScheduleConfig(policy="auto"), [0.9] * 6)[-1] == pytest.approx(0.1)


def test_auto_is_a_function_of_the_record_alone() -> None:
    """A longer record does not change the rate of an earlier epoch, so a resume sees the same rates."""
    errors = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3, 0.3]
    schedule = ScheduleConfig(policy="auto")
    for epoch in range(len(errors)):
        whole = learning_rate(1.0, schedule, epoch=epoch, n_epochs=60, val_errors=errors)
        assert whole == learning_rate(1.0, schedule, epoch=epoch, n_epochs=60, val_errors=errors[:epoch])


def test_regimes_are_soumiths_table() -> None:
    """Epochs 1-18 at 1e-2, 19-29 at 5e-3, both with decay; 30-43 at 1e-3, 44-52 at 5e-4, then 1e-4, without."""
    table = {1: (1e-2, 5e-4), 18: (1e-2, 5e-4), 19: (5e-3, 5e-4), 29: (5e-3, 5e-4)}
    table |= {30: (1e-3, 0), 43: (1e-3, 0), 44: (5e-4, 0), 52: (5e-4, 0), 53: (1e-4, 0), 99: (1e-4, 0)}
    for epoch, expected in table.items():
        for part in (0.0, 0.99):
            at = epoch - 1 + part
            rate = learning_rate(0.01, SOUMITH.schedule, epoch=at, n_epochs=55, val_errors=[])
            assert (rate, weight_decay(5e-4, SOUMITH.schedule, epoch=at)) == pytest.approx(expected)


def test_only_regimes_change_the_decay() -> None:
    schedule = ScheduleConfig(policy="cosine", regimes=(Regime(first_epoch=1, rate=1, decay=0),))
    assert weight_decay(5e-4, schedule, epoch=3) == 5e-4


@pytest.mark.parametrize(("policy", "quarter"), [("cosine", 0.8535534), ("linear", 0.75)])
def test_curves_end_at_zero(policy: Literal["cosine", "linear"], quarter: float) -> None:
    schedule = ScheduleConfig(policy=policy)
    got = [learning_rate(2.0, schedule, epoch=e, n_epochs=8, val_errors=[]) for e in (0, 2, 4, 8)]
    assert got == pytest.approx([2, 2 * quarter, 1, 0])


def test_cosine_is_half_a_cosine_between_any_two_values() -> None:
    assert [cosine(i / 12) for i in range(13)] == pytest.approx([math.cos(math.pi * i / 24) ** 2 for i in range(13)])
    assert [cosine(done, 3.0, 5.0) for done in (0, 0.5, 1)] == pytest.approx([3, 4, 5])


def test_flat_cosine_is_constant_and_then_a_cosine_over_the_rest() -> None:
    assert [flat_cosine(done, 0.7) for done in (0, 0.3, 0.7)] == [1, 1, 1]
    falling = [math.cos(math.pi / 2 * (done - 0.7) / 0.3) ** 2 for done in (0.75, 0.85, 0.95, 1)]
    assert [flat_cosine(done, 0.7) for done in (0.75, 0.85, 0.95, 1)] == pytest.approx(falling)
    assert [flat_cosine(i / 8, 0.0) for i in range(9)] == [cosine(i / 8) for i in range(9)]
    schedule = ScheduleConfig(policy="flat_cosine", flat=0.5)
    got = [learning_rate(2.0, schedule, epoch=e, n_epochs=8, val_errors=[]) for e in (0, 4, 6, 8)]
    assert got == pytest.approx([2, 2, 1, 0])


@pytest.mark.parametrize("rise", [0.3, 0.1])
def test_one_cycle_is_torchs(rise: float) -> None:
    """The curve of torch has a point per update: its phases end at the updates rise * n - 1 and n - 1."""
    n = 200
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    torchs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2.0, total_steps=n, pct_start=rise)
    schedule, top = ScheduleConfig(policy="one_cycle", rise=rise), rise * n - 1
    for update in range(n):
        done = update / top * rise if update <= top else rise + (update - top) / (n - 1 - top) * (1 - rise)
        ours = learning_rate(2.0, schedule, epoch=10 * done, n_epochs=10, val_errors=[])
        assert ours == pytest.approx(torchs.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        torchs.step()
    assert one_cycle(0.0, 0.0) == 1


def test_warm_up_rises_linearly_whatever_the_policy() -> None:
    schedule = ScheduleConfig(policy="step", steps=(3,), warmup_epochs=2)
    got = [learning_rate(1.0, schedule, epoch=e, n_epochs=9, val_errors=[]) for e in (0.5, 1, 2, 2.5, 3)]
    assert got == pytest.approx([0.25, 0.5, 1, 1, 0.1])
