"""The learning rate of an epoch: a pure function, so a resumed run cannot forget a step."""

from collections.abc import Sequence

from lib.config import ScheduleConfig

# auto compares an epoch with the one this many before it.
_LOOK_BACK = 2
# auto leaves the rate alone until this many epochs are done (theano_alexnet's constant).
_FIRST_EPOCHS = 5


def learning_rate(base: float, schedule: ScheduleConfig, *, epoch: int, val_errors: Sequence[float]) -> float:
    """The rate for ``epoch`` (counted from 0).

    ``val_errors`` holds the validation top-1 error, a fraction, after each epoch so far; only ``auto`` looks.
    """
    if schedule.policy == "step":
        n_steps = sum(epoch >= step for step in schedule.steps)
    else:
        n_steps = _plateaus(val_errors[:epoch], schedule.threshold)
    return base / schedule.divisor**n_steps


def _plateaus(val_errors: Sequence[float], threshold: float) -> int:
    """How often the error stopped falling: it fell by less than ``threshold`` over two epochs, all of
    which were trained at the same rate.

    >>> _plateaus([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3], 0.01)
    2
    """
    found, since = 0, 0
    for done in range(_FIRST_EPOCHS + 1, len(val_errors) + 1):
        now = done - 1
        if now - since >= _LOOK_BACK and val_errors[now - _LOOK_BACK] - val_errors[now] < threshold:
            found, since = found + 1, done
    return found
