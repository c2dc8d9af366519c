"""Contenders take turns, several rounds; what counts is how they compare within a round.

Clocks, temperature and neighbours change from minute to minute. Taking turns gives every contender its share of each,
and the ratio is the median of the rounds' ratios.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any


@dataclass(frozen=True)
class Contender:
    """One way to do what is measured. Whatever has to be built or warmed up has been."""

    name: str
    turn: Callable[[], float]
    """one measurement, in the table's unit"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one contender reached in one case."""

    case: str
    name: str
    unit: str
    median: float
    low: float
    high: float
    quartiles: tuple[float, float]
    values: tuple[float, ...]
    """of each round"""
    ratio: float
    """times as fast as the first peer, median over the rounds; 1 for that peer itself"""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def take_turns(case: str, unit: str, contenders: Sequence[Contender], rounds: int) -> list[Row]:
    """``rounds`` times, each contender in turn; every other round backwards. The second is the first peer.

    A unit of seconds or milliseconds is better when low; all others when high.
    """
    values: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            values[contender.name].append(contender.turn())
    return rows(case, unit, values)


def rows(case: str, unit: str, values: Mapping[str, Sequence[float]]) -> list[Row]:
    """A row for each contender, from its values of every round.

    >>> ours, peer = rows("toy", "s", {"ours": [1.0, 2.0, 3.0], "peer": [2.0, 6.0, 6.0]})
    >>> ours.median, ours.ratio, peer.ratio
    (2.0, 2.0, 1.0)
    """
    first_peer = list(values.values())[min(1, len(values) - 1)]
    return [_row(case, unit, name, mine, first_peer) for name, mine in values.items()]


def _row(case: str, unit: str, name: str, mine: Sequence[float], peer: Sequence[float]) -> Row:
    low_is_good = unit in ("s", "ms")
    pairs = zip(peer, mine, strict=True) if low_is_good else zip(mine, peer, strict=True)
    first, _, third = quantiles(mine, n=4, method="inclusive") if len(mine) > 1 else (mine[0],) * 3
    return Row(
        case=case,
        name=name,
        unit=unit,
        median=median(mine),
        low=min(mine),
        high=max(mine),
        quartiles=(first, third),
        values=tuple(mine),
        ratio=median(above / below for above, below in pairs),
    )
