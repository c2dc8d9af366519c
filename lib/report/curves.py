"""Plot learning curves, speed and time shares of one run or several."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..recording.metric_table import METRICS
from ..recording.metrics_log import MetricsEntry
from .plot import COLOURS, Plot
from .runs import Run

_SIZE = (5.0, 3.0)
# Height in inches of one run in a legend of several.
_LEGEND_LINE = 0.18
_TIME_SHARES = (
    ("compute", "computing", COLOURS[0]),
    ("exchange", "exchanging", COLOURS[2]),
    ("wait", "waiting", COLOURS[1]),
)


def time_shares(runs: Sequence[Run]) -> list[Plot]:
    """Plot each run's time shares over epochs."""
    alone = len(runs) == 1
    return [
        _plot(
            "time_shares" if alone else f"time_shares_{number}",
            "Time shares, %" if alone else f"Time shares of {run.name}, %",
            [run],
            partial(_time_shares, run=run),
        )
        for number, run in enumerate(runs, 1)
        if run.train
    ]


def charts(runs: Sequence[Run], section: str) -> list[Plot]:
    """Plot each metric of a section, "learning" or "speed", over epochs: training thin, validation bold.

    Metrics of ``Meter.log`` are optional: they are plotted if they were recorded.
    """
    recorded = {name for run in runs for entry in run.train for name in entry.values}
    plots = []
    for name, spec in METRICS.items():
        if spec.title and spec.chart == section and (name in recorded or not spec.reduce):
            validated = any(name in entry.values for run in runs for entry in run.val)
            title = spec.title + (" (thin: training)" if validated and len(runs) > 1 else "")
            draw = partial(_metric, runs=runs, name=name, validated=validated)
            plots.append(_plot(name, title, runs, draw))
    return plots


def _plot(name: str, title: str, runs: Sequence[Run], draw_on: Callable[[Axes], None]) -> Plot:
    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_title(title)
        axes.set_xlabel("epochs")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        draw_on(axes)
        end = max((run.epochs(entry) for run in runs for entry in [*run.train, *run.val]), default=1)
        axes.set_xlim(0, max(end, 0.01))
        if axes.get_legend_handles_labels()[1] and not axes.get_legend():
            if len(runs) > 1:
                figure.legend(loc="outside lower left")  # names are long; there they hide no curve
            else:
                axes.legend(loc="best")

    width, height = _SIZE
    return Plot(name, title, draw, (width, height + _LEGEND_LINE * len(runs) * (len(runs) > 1)))


def _metric(axes: Axes, *, runs: Sequence[Run], name: str, validated: bool) -> None:
    """Draw one metric: training thin and validation bold if it is ``validated``, else training alone."""
    spec, alone = METRICS[name], len(runs) == 1
    for number, run in enumerate(runs):
        run_name = f" {run.name}" if run.name.startswith("_") else run.name  # a legend leaves out names with _
        colour = COLOURS[number % len(COLOURS)]
        x, y = _points(run, run.train, name)
        val_x, val_y = _points(run, run.val, name)
        if x:
            # An entry is written at the end of its interval, so a value holds for the time before it.
            style: dict[str, Any] = {"drawstyle": "steps-pre"} if spec.steps else {}
            style |= {"alpha": 0.55, "linewidth": 1, "markersize": 3} if validated else {}
            label = ("training" if validated else None) if alone else None if val_x else run_name
            axes.plot(x, y, "o" if len(x) == 1 else "-", color=colour, label=label, **style)  # one point draws no line
        if val_x:
            marker, label = "o" if len(val_x) < 40 else "", "validation" if alone else run_name
            axes.plot(val_x, val_y, color=colour, linewidth=2.2, marker=marker, markersize=3.5, label=label)
    values = [value for run in runs for value in _points(run, run.train, name)[1]]
    if spec.steps and values and min(values) > 0 and max(values) > 3 * min(values):
        axes.set_yscale("log")
    elif spec.steps or spec.scale != 1 or spec.chart == "speed":
        axes.set_ylim(bottom=0)
    if spec.chart == "speed":
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def _time_shares(axes: Axes, *, run: Run) -> None:
    x = [run.epochs(entry) for entry in run.train]
    layers = [[100 * entry.values.get(name, 0.0) for entry in run.train] for name, _, _ in _TIME_SHARES]
    means = [sum(layer) / len(layer) for layer in layers]
    labels = [f"{word} {mean:.0f} %" for (_, word, _), mean in zip(_TIME_SHARES, means, strict=True)]
    axes.stackplot(x, layers, labels=labels, colors=[colour for *_, colour in _TIME_SHARES], alpha=0.8)
    axes.set_ylim(0, 100)
    axes.legend(loc="upper center", ncols=3, bbox_to_anchor=(0.5, -0.2), columnspacing=1)


def _points(run: Run, entries: Sequence[MetricsEntry], name: str) -> tuple[list[float], list[float]]:
    """Return epochs and values of the entries that have the metric."""
    found = [entry for entry in entries if name in entry.values]
    scale = METRICS[name].scale
    return [run.epochs(entry) for entry in found], [scale * entry.values[name] for entry in found]
