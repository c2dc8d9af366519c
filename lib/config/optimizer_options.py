"""The text of ``optimizer.options``."""

import ast
from typing import Any

from ..errors import ConfigError

# They have keys of their own, which schedules and groups of parameters need.
_ELSEWHERE = {"lr": "optimizer.learning_rate", "weight_decay": "optimizer.weight_decay"}


def parse_optimizer_options(text: str) -> dict[str, Any]:
    """Return the options that ``text`` lists. Raises ConfigError.

    >>> parse_optimizer_options("eps=1e-6 betas=(0.9,0.99) nesterov=True")
    {'eps': 1e-06, 'betas': (0.9, 0.99), 'nesterov': True}
    """
    options: dict[str, Any] = {}
    for part in text.split():
        name, _, value = part.partition("=")
        try:
            options[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            raise ConfigError(
                f"optimizer.options has {part}; list options as NAME=VALUE with spaces between them and none within, "
                "e.g. 'eps=1e-6 betas=(0.9,0.99)'"
            ) from None
        if name in _ELSEWHERE:
            raise ConfigError(f"optimizer.options has {part}; set {_ELSEWHERE[name]} instead")
    return options
