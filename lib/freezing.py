"""Freezing: parts of a network that training leaves as they are."""

from collections.abc import Sequence

from torch import nn

from lib.errors import ConfigError

_Norms = (nn.BatchNorm1d, nn.BatchNorm2d)


def freeze(model: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """Turn gradients off for every parameter that is named or lies under a name.

    Returns the norms among them: kept in evaluation mode, so that their running statistics stay too.
    Raises ConfigError for a name that is not there, or when nothing is left to train.
    """
    frozen: set[str] = set()
    parameters = dict(model.named_parameters())
    for name in names:
        found = {key for key in parameters if _lies_under(key, name)}
        if not found:
            tops = ", ".join(dict(model.named_children()))
            raise ConfigError(
                f"model.freeze: {name} is no part of this network; its parts are {tops} and what they hold"
            )
        frozen |= found
    if len(frozen) == len(parameters):
        raise ConfigError("model.freeze names every parameter; leave something to train")
    for key in frozen:
        parameters[key].requires_grad_(False)
    return [m for m in model.modules() if isinstance(m, _Norms) and not m.weight.requires_grad]


def _lies_under(key: str, name: str) -> bool:
    """Whether parameter ``key`` is ``name`` or a part of it.

    >>> [_lies_under(key, "features.1") for key in ("features.1.bias", "features.10.bias")]
    [True, False]
    """
    return f"{key}.".startswith(f"{name.rstrip('.')}.")
