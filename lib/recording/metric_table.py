"""Every metric that is recorded once an interval of training: its name, its formats and its chart.

A row here is all that ``metrics.jsonl``, the trackers, the console and the report need to know of a metric. See
``docs/adding_a_figure.md``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from ..evaluation.metrics import Metrics


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """How a metric is reduced over the workers and shown. The key of its row is its name everywhere."""

    text: str
    """format with its unit, for lines of text; a second field gets what a fraction lacks to the whole"""
    short: tuple[str, ...] = ()
    """formats for the progress bar, which shows as many as it has room for (default: ``text``)"""
    scale: float = 1.0
    """factor for text and chart; 100 shows a fraction in per cent"""
    title: str = ""
    """title of its chart in the report; without one it gets no chart of its own"""
    chart: Literal["learning", "speed"] = "learning"
    """section of the report in which the chart stands"""
    steps: bool = False
    """draw the chart in steps, on a logarithmic scale where the values differ much"""
    reduce: Callable[[Sequence[float]], float] | None = None
    """reduces the workers' values to one, for metrics of ``Meter.log``; the others are computed from sums"""


METRICS = {
    "loss": MetricSpec(text="loss {:.4f}", short=("loss {:.3f}",), title="Loss"),
    "top1_error": MetricSpec(
        text="top-1 error {:.2f} % (accuracy {:.2f} %)",
        short=("top-1 err {:.1f} %", "acc {1:.1f} %"),
        scale=100,
        title="Top-1 error, %",
    ),
    "top5_error": MetricSpec(
        text="top-5 error {:.2f} %", short=("top-5 err {:.1f} %",), scale=100, title="Top-5 error, %"
    ),
    "learning_rate": MetricSpec(text="rate {:g}", short=("rate {:.4g}",), title="Learning rate", steps=True),
    "images_per_s": MetricSpec(text="{:,.0f} images/s", title="Images per second", chart="speed"),
    # Shares of the time; the report stacks them in one chart.
    "wait": MetricSpec(text="wait {:.0f} %", scale=100),
    "compute": MetricSpec(text="compute {:.0f} %", scale=100),
    "exchange": MetricSpec(text="exchange {:.0f} %", scale=100),
    "memory": MetricSpec(text="memory {:.1f} GB", scale=1e-9),
}

LOGGED = {name: spec.reduce for name, spec in METRICS.items() if spec.reduce}
"""the metrics that ``Meter.log`` may be given, and how each is reduced over the workers"""


def reduce_workers(rows: Sequence[Sequence[float]]) -> dict[str, float]:
    """Reduce the values of ``LOGGED``, one row per worker, over the workers. NaN stands for a value that is missing."""
    reduced = {}
    for column, (name, reduce) in enumerate(LOGGED.items()):
        if values := [row[column] for row in rows if not math.isnan(row[column])]:
            reduced[name] = reduce(values)
    return reduced


def format_values(values: Mapping[str, float], *, short: bool = False) -> list[str]:
    """Return each of ``values`` as text, in the order of the table.

    >>> format_values({"images_per_s": 1234.5, "top1_error": 0.25})
    ['top-1 error 25.00 % (accuracy 75.00 %)', '1,234 images/s']
    >>> format_values({"images_per_s": 1234.5, "top1_error": 0.25}, short=True)
    ['top-1 err 25.0 %', 'acc 75.0 %', '1,234 images/s']
    """
    return [
        text.format(spec.scale * values[name], spec.scale - spec.scale * values[name])
        for name, spec in METRICS.items()
        if name in values
        for text in ((short and spec.short) or (spec.text,))
    ]


def describe(metrics: Metrics) -> str:
    """Return loss and errors as text.

    >>> describe(Metrics(1.5, 0.25, 0.125, 8))
    'loss 1.5000  top-1 error 25.00 % (accuracy 75.00 %)  top-5 error 12.50 %'
    """
    return "  ".join(format_values(asdict(metrics)))
