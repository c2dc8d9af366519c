"""Base class of the configuration's sections, and the ranges of their numbers."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from lib.config.field_type import FieldType, field_types
from lib.errors import ConfigError

_INT_LIMIT = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Range:
    """An interval of numbers: ``low`` and ``high`` belong to it, ``above`` and ``below`` do not."""

    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def violation(self, value: float) -> str:
        """Return what ``value`` must do and does not; an empty text for a value in the interval.

        >>> Range(low=1).violation(0), Range(low=0, below=1).violation(1.0), Range(low=0).violation(3)
        ('be at least 1', 'lie in [0, 1)', '')
        """
        if self.low <= value <= self.high and self.above < value < self.below:
            return ""
        low, high = max(self.low, self.above), min(self.high, self.below)
        if low == -math.inf:
            return f"be at most {high}" if high == self.high else f"be below {high}"
        if high == math.inf:
            return f"be at least {low}" if low == self.low else f"be above {low}"
        return f"lie in {'[' if low == self.low else '('}{low}, {high}{']' if high == self.high else ')'}"


PositiveInt = Annotated[int, Range(low=1)]
NonNegativeInt = Annotated[int, Range(low=0)]
PositiveFloat = Annotated[float, Range(above=0)]
NonNegativeFloat = Annotated[float, Range(low=0)]
Fraction = Annotated[float, Range(low=0, high=1)]
FractionBelow1 = Annotated[float, Range(low=0, below=1)]
Seed = Annotated[int, Range(low=0, high=2**63 - 1)]


class Section:
    """Base of all sections, which are frozen dataclasses: checks every number when one is created.

    ``class RunConfig(Section, prefix="run.")``: error messages write the prefix in front of a field's name.
    """

    _prefix = ""

    def __init_subclass__(cls, *, prefix: str) -> None:
        super().__init_subclass__()
        cls._prefix = prefix

    def __post_init__(self) -> None:
        for name, kind in field_types(type(self)).items():
            if "." not in name:
                _check_numbers(self._prefix + name, getattr(self, name), kind)


def _check_numbers(key: str, value: Any, kind: FieldType) -> None:
    """Raise ConfigError when a number in ``value`` is not finite or lies outside the range of its type."""
    if kind.base is tuple:
        for item in value or ():
            _check_numbers(key, item, kind.item)
    if kind.base not in (int, float) or value is None:
        return
    if kind.base is float and not math.isfinite(value):
        raise ConfigError(f"{key} is {value}; it must be finite")
    ranges = [extra for extra in kind.metadata if isinstance(extra, Range)]
    if kind.base is int and all(extra.high == math.inf for extra in ranges):
        ranges.append(Range(high=_INT_LIMIT))
    for violation in filter(None, (extra.violation(value) for extra in ranges)):
        raise ConfigError(f"{key} is {value if kind.base is int else f'{value:g}'}; it must {violation}")
