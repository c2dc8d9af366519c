"""The text of ``optimizer.class_weights``."""

import math

from ..errors import ConfigError

WORDS = ("none", "balanced")


def parse_class_weights(text: str) -> tuple[float, ...]:
    """Return the weights that ``text`` lists; empty for one of ``WORDS``. Raises ConfigError.

    >>> parse_class_weights("1, 2.5"), parse_class_weights("balanced")
    ((1.0, 2.5), ())
    """
    if text in WORDS:
        return ()
    try:
        weights = tuple(float(part) for part in text.split(","))
    except ValueError:
        weights = ()
    if not weights or not all(0 < weight < math.inf for weight in weights):
        raise ConfigError(
            f"optimizer.class_weights is {text or 'empty'}; it must be none, balanced or a number above 0 for each "
            "class, in their order, e.g. '1, 2.5, 1'"
        )
    return weights
