"""Contenders take turns for several rounds and are compared within each round.

Clock rates, temperature and other load change from minute to minute. Taking turns exposes all contenders to the same
conditions, and the ratio is the median of the rounds' ratios.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any


@dataclass(frozen=True)
class Contender:
    """One way to do the measured work, already built and warmed up."""

    name: str
    turn: Callable[[], float]
    """takes one measurement, in the unit of the table"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """The measurements of one contender in one case."""

    case: str
    name: str
    unit: str
    median: float
    low: float
    high: float
    quartiles: tuple[float, float]
    values: tuple[float, ...]
    """one per round"""
    ratio: float
    """speed relative to one peer, median over the rounds; 1 for that peer itself"""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def take_turns(
    case: str, unit: str, contenders: Sequence[Contender], rounds: int, *, strongest: bool = False, quiet: bool = False
) -> list[Row]:
    """Measure each contender in turn for ``rounds`` rounds, every other one in reverse order.

    Ratios are to the second contender, the first peer, or to the ``strongest`` of the peers. Low values are better if
    the unit is s or ms, otherwise high ones. Each value is also printed to stderr at
    once, unless ``quiet``, since rounds take minutes.
    """
    values: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            value = contender.turn()
            values[contender.name].append(value)
            if not quiet:
                print(f"{case}, {contender.name}: {short(value)} {unit}", file=sys.stderr, flush=True)
    return rows(case, unit, values, strongest=strongest)


def rows(case: str, unit: str, values: Mapping[str, Sequence[float]], *, strongest: bool = False) -> list[Row]:
    """Return a row for each contender, from its values of all rounds.

    >>> ours, peer = rows("toy", "s", {"ours": [1.0, 2.0, 3.0], "peer": [2.0, 6.0, 6.0]})
    >>> ours.median, ours.ratio, peer.ratio
    (2.0, 2.0, 1.0)
    """
    peers = list(values.values())[min(1, len(values) - 1) :]
    peer = (min if _low_is_good(unit) else max)(peers, key=median) if strongest else peers[0]
    return [_row(case, unit, name, mine, peer) for name, mine in values.items()]


def short(value: float) -> str:
    """Return ``value`` with about four digits.

    >>> short(12345.6), short(0.0123456)
    ('12,346', '0.01235')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _low_is_good(unit: str) -> bool:
    return unit in ("s", "ms")


def _row(case: str, unit: str, name: str, mine: Sequence[float], peer: Sequence[float]) -> Row:
    pairs = zip(peer, mine, strict=True) if _low_is_good(unit) else zip(mine, peer, strict=True)
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
