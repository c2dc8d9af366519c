"""The live line of a phase: whole fields, as many as the terminal has room for. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass

from lib.evaluation.metrics import Metrics
from lib.recording.eta import Eta, clock_time

# The bar with the blank before it.
_BAR = 13
_BETWEEN = "  "


@dataclass(frozen=True)
class Field:
    """One figure, in words and in few characters."""

    full: str
    short: str


def fields(eta: Eta, figures: Metrics | None, more: Mapping[str, float]) -> list[Field]:
    """What a live line has to say, the most important first. ``figures`` are not there before the first interval."""
    left = [_same(f"left {clock_time(eta.left_of_phase())}"), _same(f"run {clock_time(eta.left_of_run())}")]
    if figures is None:
        return left
    top1, top5 = 100 * figures.top1_error, 100 * figures.top5_error
    wait, compute, exchange = (f"{100 * more[what]:.0f}" for what in ("wait", "compute", "exchange"))
    return [
        Field(f"loss {figures.loss:.3f}", f"loss {figures.loss:.2f}"),
        Field(f"top-1 err {top1:.1f} %  top-5 err {top5:.1f} %", f"top-1/5 err {top1:.0f}/{top5:.0f} %"),
        *left,
        Field(f"{more['images_per_s']:,.0f} images/s", f"{more['images_per_s']:,.0f}/s"),
        Field(f"wait {wait} compute {compute} exchange {exchange} %", f"wait {wait} comp {compute} exch {exchange} %"),
        _same(f"rate {more['learning_rate']:.4g}"),
    ]


def fitted(fields: list[Field], room: int) -> tuple[bool, str]:
    """Whether there is room for a bar too, and the fields that go into ``room`` columns: none is cut.

    >>> some = [Field("loss 2.312", "loss 2.31"), Field("1,234 images/s", "1,234/s"), Field("rate 0.01", "rate 0.01")]
    >>> fitted(some, 50), fitted(some, 42)
    ((True, 'loss 2.312  1,234 images/s  rate 0.01'), (True, 'loss 2.31  1,234/s  rate 0.01'))
    >>> fitted(some, 20), fitted(some, 8), fitted(some, 4)
    ((False, 'loss 2.31  1,234/s'), (False, '1,234/s'), (False, ''))
    """
    for text in (_BETWEEN.join(field.full for field in fields), _BETWEEN.join(field.short for field in fields)):
        if len(text) + _BAR <= room:
            return True, text
    cached = ""
    for field in fields:
        longer = f"{cached}{_BETWEEN if cached else ''}{field.short}"
        cached = longer if len(longer) <= room else cached
    return False, cached


def _same(text: str) -> Field:
    return Field(text, text)
