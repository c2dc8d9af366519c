"""Learning rate and weight decay at a point of a run: pure functions, so a resumed run cannot forget a step."""

import math
from collections.abc import Sequence

from ..config.schema import Regime, ScheduleConfig

# one_cycle begins with a 25th of the highest rate and ends with a 10,000th of that, as torch's OneCycleLR by default.
_FIRST_OF_CYCLE = 1 / 25
_LAST_OF_CYCLE = _FIRST_OF_CYCLE / 10_000
# auto compares an epoch with the one this many before it.
_LOOK_BACK = 2
# auto leaves the rate alone until this many epochs are done (theano_alexnet's constant).
_FIRST_EPOCHS = 5


def learning_rate(
    base: float, schedule: ScheduleConfig, *, epoch: float, n_epochs: int, val_errors: Sequence[float]
) -> float:
    """Return the learning rate at ``epoch``, the number of epochs done, with the fraction of the current one.

    ``val_errors`` holds the validation top-1 error, a fraction, after each epoch so far. Only ``auto`` reads it.
    """
    warmup = min(1.0, epoch / schedule.warmup_epochs) if schedule.warmup_epochs else 1.0
    return base * warmup * _factor(schedule, epoch, n_epochs, val_errors)


def weight_decay(base: float, schedule: ScheduleConfig, *, epoch: float) -> float:
    """Return the weight decay at ``epoch``, counted as in ``learning_rate``. Only regimes change it."""
    return base * _regime(schedule, epoch).decay if schedule.policy == "regimes" else base


def _factor(schedule: ScheduleConfig, epoch: float, n_epochs: int, val_errors: Sequence[float]) -> float:
    match schedule.policy:
        case "step":
            return 1 / schedule.divisor ** sum(epoch >= step for step in schedule.steps)
        case "auto":
            return 1 / schedule.divisor ** _plateaus(val_errors[: int(epoch)], schedule.threshold)
        case "regimes":
            return _regime(schedule, epoch).rate
        case "cosine":
            return cosine(epoch / n_epochs)
        case "flat_cosine":
            return flat_cosine(epoch / n_epochs, schedule.flat)
        case "one_cycle":
            return one_cycle(epoch / n_epochs, schedule.rise)
        case "linear":
            return 1 - epoch / n_epochs


def cosine(done: float, start: float = 1.0, end: float = 0.0) -> float:
    """Return the value of half a cosine from ``start`` to ``end`` when the share ``done`` of it is over."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def flat_cosine(done: float, flat: float) -> float:
    """Return 1 for the share ``flat`` of the run, and half a cosine from 1 to 0 after it."""
    return cosine(max(0.0, done - flat) / (1 - flat))


def one_cycle(done: float, rise: float) -> float:
    """Return the factor of the one-cycle policy (arXiv:1708.07120): half a cosine up for ``rise``, then down."""
    if done < rise:
        return cosine(done / rise, _FIRST_OF_CYCLE, 1.0)
    return cosine((done - rise) / (1 - rise), 1.0, _LAST_OF_CYCLE)


def _regime(schedule: ScheduleConfig, epoch: float) -> Regime:
    return [regime for regime in schedule.regimes if regime.first_epoch <= epoch + 1][-1]


def _plateaus(val_errors: Sequence[float], threshold: float) -> int:
    """Return how often the error fell by less than ``threshold`` over two epochs of the same learning rate.

    >>> _plateaus([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3], 0.01)
    2
    """
    found, since = 0, 0
    for done in range(_FIRST_EPOCHS + 1, len(val_errors) + 1):
        now = done - 1
        if now - since >= _LOOK_BACK and val_errors[now - _LOOK_BACK] - val_errors[now] < threshold:
            found, since = found + 1, done
    return found
