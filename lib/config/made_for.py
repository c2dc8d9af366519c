"""The images that weights of other programs were trained on: ``model.made_for``."""

import math
from typing import NamedTuple

from ..errors import ConfigError

Color = tuple[float, float, float]
"""red, green and blue, on a scale of 0 to 255"""

# torchvision's networks take inputs of 0 to 1, less a mean, divided by 0.229, 0.224, 0.225.
TORCHVISION_STD: Color = (255 * 0.229, 255 * 0.224, 255 * 0.225)


class MadeFor(NamedTuple):
    """Images as a network was trained on them. What is left out is as in this program: RGB, 0 to 255, less a mean."""

    std: Color | None = None
    """what the pixels were divided by"""
    bgr: bool = False
    """whether the channels are blue, green, red"""
    mean: Color | None = None
    """what was subtracted; None: the mean of the data set"""


_KINDS = {
    "auto": None,
    "torchvision": MadeFor(TORCHVISION_STD),
    "caffe": MadeFor(bgr=True),
    "0..1": MadeFor((255.0, 255.0, 255.0)),
    "0..255": MadeFor(),
}
_ORDERS = {"rgb": False, "bgr": True}


def parse_made_for(key: str, text: str) -> MadeFor | None:
    """Return the images that ``text``, the value of ``key``, describes; None for auto. Raises ConfigError.

    >>> parse_made_for("model.made_for", "caffe")
    MadeFor(std=None, bgr=True, mean=None)
    >>> parse_made_for("model.made_for", "order=bgr mean=104,117,123")
    MadeFor(std=None, bgr=True, mean=(123.0, 117.0, 104.0))
    """
    if text in _KINDS:
        return _KINDS[text]
    try:
        words = [word.split("=") for word in text.split()]
        given = dict(words)
        bgr = _ORDERS[given.pop("order", "rgb")]
        mean, std = (_color(given.pop(name, None), bgr) for name in ("mean", "std"))
        if given or not text or len({name for name, _ in words}) < len(words) or (std and min(std) <= 0):
            raise ValueError
    except (ValueError, KeyError):
        raise ConfigError(
            f"{key} is {text or 'empty'}; it must be one of {', '.join(_KINDS)}, or the channels' order, mean and std "
            "on a scale of 0 to 255, as in 'order=bgr mean=104,117,123 std=1,1,1'"
        ) from None
    return MadeFor(std, bgr, mean)


def _color(text: str | None, bgr: bool) -> Color | None:
    if text is None:
        return None
    first, second, third = map(float, text.split(","))
    if not math.isfinite(first + second + third):
        raise ValueError
    return (third, second, first) if bgr else (first, second, third)
