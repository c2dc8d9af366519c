import pytest

from lib.config import ScheduleConfig
from lib.schedule import learning_rate


def rates(schedule: ScheduleConfig, errors: list[float]) -> list[float]:
    """The rate of each epoch, when the record has grown to hold the epochs before it."""
    return [learning_rate(1.0, schedule, epoch=e, val_errors=errors[:e]) for e in range(len(errors) + 1)]


def test_step_divides_at_the_end_of_the_given_epochs() -> None:
    schedule = ScheduleConfig(policy="step", steps=(2, 4))
    assert rates(schedule, [0.5] * 5) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_step_does_not_depend_on_where_the_run_was_resumed() -> None:
    schedule = ScheduleConfig(policy="step", steps=(20, 40))
    assert learning_rate(0.01, schedule, epoch=50, val_errors=[]) == pytest.approx(1e-4)


def test_auto_waits_for_a_plateau() -> None:
    falling = [0.9 - 0.05 * i for i in range(12)]
    assert rates(ScheduleConfig(policy="auto"), falling) == [1.0] * 13


def test_auto_divides_once_for_each_plateau() -> None:
    #         1    2    3    4    5    6    7    8 -> plateau: rate falls, 9 and 10 are judged among themselves
    errors = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.4, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1]
    assert rates(ScheduleConfig(policy="auto"), errors) == pytest.approx([1] * 8 + [0.1] * 5 + [0.01])


def test_auto_leaves_the_first_five_epochs_alone() -> None:
    assert rates(ScheduleConfig(policy="auto"), [0.9] * 5) == [1.0] * 6
    assert rates(ScheduleConfig(policy="auto"), [0.9] * 6)[-1] == pytest.approx(0.1)


def test_auto_is_a_function_of_the_record_alone() -> None:
    """Any later resume sees the same rates: a longer record does not change an earlier epoch's rate."""
    errors = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3, 0.3]
    schedule = ScheduleConfig(policy="auto")
    for epoch in range(len(errors)):
        whole = learning_rate(1.0, schedule, epoch=epoch, val_errors=errors)
        assert whole == learning_rate(1.0, schedule, epoch=epoch, val_errors=errors[:epoch])
