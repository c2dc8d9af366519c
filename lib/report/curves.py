"""Plot learning curves, speed and time shares of one run or several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from ..evaluation.plot import COLOURS, Plot, Tip
from ..recording.metric_table import METRICS
from ..recording.metrics_log import MetricsEntry
from .runs import Run

_SIZE = (5.0, 3.0)
# Height in inches of one run in a legend of several.
_LEGEND_LINE = 0.18
_TIME_SHARES = (
    ("compute", "computing", COLOURS[0]),
    ("exchange", "exchanging", COLOURS[2]),
    ("wait", "waiting", COLOURS[1]),
)
# Room beside the last point, whose mark would else be cut.
_MARGIN = 1.02
# Fewer values than this do not show which of them are unusual.
_FEW = 10
# Places of a chart that show their values under the pointer.
_TIPS = 150


@dataclass(frozen=True)
class XAxis:
    """What charts are drawn over."""

    name: str
    """part of the names of plots"""
    label: str
    of: Callable[[Run, MetricsEntry], float]


EPOCHS = XAxis("", "epochs", lambda run, entry: run.epochs(entry))


def time_axis(runs: Sequence[Run]) -> XAxis:
    """Return the axis of the time that training took, in minutes or hours."""
    longest = max((run.seconds(entry) for run in runs for entry in run.train), default=0.0)
    unit, seconds = ("hours", 3600) if longest > 3 * 3600 else ("minutes", 60)
    return XAxis("_time", f"{unit} of training", lambda run, entry: run.seconds(entry) / seconds)


def time_shares(runs: Sequence[Run]) -> list[Plot]:
    """Plot each run's time shares over epochs."""
    alone = len(runs) == 1
    return [
        _plot(
            "time_shares" if alone else f"time_shares_{number}",
            "Time shares, %" if alone else f"Time shares of {run.name}, %",
            [run],
            EPOCHS,
            partial(_time_shares, run=run),
        )
        for number, run in enumerate(runs, 1)
        if run.train
    ]


def charts(runs: Sequence[Run], section: str, axis: XAxis = EPOCHS) -> list[Plot]:
    """Plot each metric of a section, "learning" or "speed", over ``axis``: training thin, validation bold.

    Metrics of ``Meter.log`` are optional: they are plotted if they were recorded.
    """
    recorded = {name for run in runs for entry in run.train for name in entry.values}
    plots = []
    for name, spec in METRICS.items():
        if spec.title and spec.chart == section and (name in recorded or not spec.reduce):
            validated = any(name in entry.values for run in runs for entry in run.val)
            title = spec.title + (" (thin: training)" if validated and len(runs) > 1 else "")
            lines = _lines(runs, name, axis)
            draw = partial(_metric, lines=lines, name=name, alone=len(runs) == 1)
            plots.append(_plot(name, title, runs, axis, draw, _tips(lines, name, axis)))
    return plots


@dataclass(frozen=True)
class _Line:
    """One metric of one run in training or validation."""

    label: str
    colour: str
    x: list[float]
    y: list[float]
    validated: bool
    """whether it is of validation"""
    thin: bool
    """whether it is of training, beside one of validation"""


def _lines(runs: Sequence[Run], name: str, axis: XAxis) -> list[_Line]:
    lines = []
    for number, run in enumerate(runs):
        alone, colour = len(runs) == 1, COLOURS[number % len(COLOURS)]
        run_name = f" {run.name}" if run.name.startswith("_") else run.name  # a legend leaves out names with _
        points = {kind: _points(run, entries, name, axis) for kind, entries in (("t", run.train), ("v", run.val))}
        both = bool(points["t"][0] and points["v"][0])
        # A single run has a colour for each; several have dashes, as each has a colour of its own.
        if points["t"][0]:
            training = COLOURS[1] if alone and both else colour
            lines.append(_Line("training" if alone else run_name, training, *points["t"], validated=False, thin=both))
        if points["v"][0]:
            lines.append(_Line("validation" if alone else run_name, colour, *points["v"], validated=True, thin=False))
    return lines


def _tips(lines: Sequence[_Line], name: str, axis: XAxis) -> list[Tip]:
    """Return what the chart shows under the pointer: at each place, the nearest value of every line."""
    spec, places = METRICS[name], np.unique([x for line in lines for x in line.x])
    if len(places) > _TIPS:
        places = places[np.linspace(0, len(places) - 1, _TIPS).astype(int)]
    single = len({line.label for line in lines}) == len(lines)
    tips = []
    for place in places.tolist():
        texts = [f"{place:.2f} {axis.label}"]
        for line in lines:
            value = line.y[int(np.abs(np.array(line.x) - place).argmin())]
            kind = "" if single else ", validation" if line.validated else ", training"
            texts.append(f"{line.label.strip()}{kind}: {value:,.4g}{' %' if spec.scale == 100 else ''}")
        tips.append(Tip(place, "\n".join(texts)))
    return tips


def _plot(
    name: str,
    title: str,
    runs: Sequence[Run],
    axis: XAxis,
    draw_on: Callable[[Axes], None],
    tips: Sequence[Tip] = (),
) -> Plot:
    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_title(title)
        axes.set_xlabel(axis.label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=axis is EPOCHS, nbins=8))
        draw_on(axes)
        end = max((axis.of(run, entry) for run in runs for entry in [*run.train, *run.val]), default=1)
        axes.set_xlim(0, max(_MARGIN * end, 0.01))
        if axes.get_legend_handles_labels()[1] and not axes.get_legend():
            if len(runs) > 1:
                figure.legend(loc="outside lower left")  # names are long; there they hide no curve
            else:
                axes.legend(loc="best")

    width, height = _SIZE
    size = (width, height + _LEGEND_LINE * len(runs) * (len(runs) > 1))
    return Plot(f"{name}{axis.name}", title, draw, size, tips)


def _metric(axes: Axes, *, lines: Sequence[_Line], name: str, alone: bool) -> None:
    """Draw one metric: training thin and validation bold where there are both."""
    spec = METRICS[name]
    everything = [value for line in lines for value in line.y]
    top = _top(everything) if spec.chart == "learning" and spec.scale == 1 and not spec.steps else None
    for line in lines:
        style: dict[str, Any] = {"color": line.colour}
        # An entry is written at the end of its interval, so a value holds for the time before it.
        if spec.steps:
            style |= {"drawstyle": "steps-pre"}
        if line.thin:
            style |= {"linewidth": 1.1, "markersize": 4} | ({} if alone else {"linestyle": (0, (3, 1.5)), "alpha": 0.8})
        if line.validated:
            few = len(line.x) < 40
            # Marks at the edge of the axes are not cut.
            style |= {
                "clip_on": not few or top is not None,
                "linewidth": 2.2,
                "marker": "o" if few else "",
                "markersize": 7 if len(line.x) == 1 else 3.5,
            }
        elif len(line.x) == 1:  # one point draws no line
            style |= {"marker": "o", "clip_on": False}
        hidden = (line.thin and not alone) or (alone and len(lines) == 1)
        axes.plot(line.x, line.y, label=None if hidden else line.label, **style)
    values = [value for line in lines if not line.validated for value in line.y]
    if spec.steps and values and min(values) > 0 and max(values) > 3 * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_PlainLogFormatter())
        axes.yaxis.set_minor_formatter(_PlainLogFormatter())
    elif spec.steps or spec.scale != 1 or spec.chart == "speed":
        axes.set_ylim(bottom=0)
    if top is not None:
        axes.set_ylim(min(0, *everything), top)
    if spec.chart == "speed":
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def _top(values: Sequence[float]) -> float | None:
    """Return where an axis ends if a few values, as of a rate that was too high, would flatten all others, else None.

    >>> _top([90_000.0, 20.0, *[2.5] * 18]), _top([7.0, *[2.5] * 19])
    (22.0, None)
    """
    usual = float(np.quantile(values, 0.9, method="lower")) if len(values) >= _FEW else 0.0
    shown = [value for value in values if value <= 10 * usual]
    return 1.1 * max(shown) if usual > 0 and len(shown) < len(values) else None


class _PlainLogFormatter(LogFormatter):
    """Labels the ticks of a logarithmic axis with plain numbers: formulas, the default, are not drawn here."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def _time_shares(axes: Axes, *, run: Run) -> None:
    x = [run.epochs(entry) for entry in run.train]
    layers = [[100 * entry.values.get(name, 0.0) for entry in run.train] for name, _, _ in _TIME_SHARES]
    means = [sum(layer) / len(layer) for layer in layers]
    labels = [f"{word} {mean:.0f} %" for (_, word, _), mean in zip(_TIME_SHARES, means, strict=True)]
    # The first interval has no point before it: without one, a single interval would be a line without width.
    x, layers = [0.0, *x], [[layer[0], *layer] for layer in layers]
    axes.stackplot(x, layers, labels=labels, colors=[colour for *_, colour in _TIME_SHARES], alpha=0.8)
    axes.set_ylim(0, 100)
    axes.legend(loc="upper center", ncols=3, bbox_to_anchor=(0.5, -0.2), columnspacing=1)


def _points(run: Run, entries: Sequence[MetricsEntry], name: str, axis: XAxis) -> tuple[list[float], list[float]]:
    """Return places and values of the entries that have the metric."""
    found = [entry for entry in entries if name in entry.values]
    scale = METRICS[name].scale
    return [axis.of(run, entry) for entry in found], [scale * entry.values[name] for entry in found]
