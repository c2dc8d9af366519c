"""Base class of the configuration's sections, and the types of their numbers."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from ..errors import ConfigError
from .field_type import FieldType, field_types


@dataclass(frozen=True)
class Constraint:
    """Metadata of a number's type: what a value must do, and whether it does."""

    requirement: str
    holds: Callable[[Any], bool]


INT_LIMIT = Constraint(f"be at most {2**31 - 1}", lambda value: value < 2**31)

PositiveInt = Annotated[int, Constraint("be at least 1", lambda value: value >= 1), INT_LIMIT]
NonNegativeInt = Annotated[int, Constraint("be at least 0", lambda value: value >= 0), INT_LIMIT]
Seed = Annotated[int, Constraint(f"lie in [0, {2**63})", lambda value: 0 <= value < 2**63)]
PositiveFloat = Annotated[float, Constraint("be above 0", lambda value: value > 0)]
NonNegativeFloat = Annotated[float, Constraint("be at least 0", lambda value: value >= 0)]
Fraction = Annotated[float, Constraint("lie in [0, 1]", lambda value: 0 <= value <= 1)]
Share = Annotated[float, Constraint("lie between 0 and 1", lambda value: 0 < value < 1)]
FractionBelow1 = Annotated[float, Constraint("lie in [0, 1)", lambda value: 0 <= value < 1)]


class Section:
    """Base of all sections, which are frozen dataclasses: checks every number when one is created.

    ``class RunConfig(Section, prefix="run.")``: error messages write the prefix in front of a field's name.
    """

    _prefix = ""

    def __init_subclass__(cls, *, prefix: str) -> None:
        cls._prefix = prefix

    def __post_init__(self) -> None:
        for name, kind in field_types(type(self)).items():
            if "." not in name:
                _check_numbers(self._prefix + name, getattr(self, name), kind)


def _check_numbers(key: str, value: Any, kind: FieldType) -> None:
    """Raise ConfigError if a number in ``value`` is not finite or fails a check of its type."""
    if isinstance(value, tuple):
        for item in value:
            _check_numbers(key, item, kind.item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{key} is {value}; it must be finite")
    elif value is not None and not (kind.auto and value == "auto"):
        for constraint in kind.metadata:
            if isinstance(constraint, Constraint) and not constraint.holds(value):
                text = f"{value:g}" if isinstance(value, float) else str(value)
                raise ConfigError(f"{key} is {text}; it must {constraint.requirement}")
