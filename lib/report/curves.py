"""Learning curves, speed and time shares of one run or several."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lib.report.drawing import COLOURS, Plot
from lib.report.runs import Run

_SIZE = (5.0, 3.0)
_LINE = 0.18  # inches that a run takes in the legend of several
_SHARES = (
    ("compute", "computing", COLOURS[0]),
    ("exchange", "exchanging", COLOURS[2]),
    ("wait", "waiting", COLOURS[1]),
)


def learning_curves(runs: Sequence[Run]) -> list[Plot]:
    """Loss, top-1 and top-5 error (training thin, validation bold) and learning rate over epochs."""
    thin = " (thin: training)" if len(runs) > 1 else ""
    return [
        _drawn("loss", f"Loss{thin}", runs, lambda axes: _both(axes, runs, "loss", 1)),
        _drawn("top1_error", f"Top-1 error, %{thin}", runs, lambda axes: _both(axes, runs, "top1_error", 100)),
        _drawn("top5_error", f"Top-5 error, %{thin}", runs, lambda axes: _both(axes, runs, "top5_error", 100)),
        _drawn("learning_rate", "Learning rate", runs, lambda axes: _rate(axes, runs)),
    ]


def speed_curves(runs: Sequence[Run]) -> list[Plot]:
    """Images a second of all runs, and for each run where its time went."""
    speed = _drawn("images_per_s", "Images per second", runs, lambda axes: _speed(axes, runs))
    shares = [
        _drawn(
            "time_shares" if len(runs) == 1 else f"time_shares_{number}",
            "Time shares, %" if len(runs) == 1 else f"Time shares of {run.name}, %",
            [run],
            lambda axes, run=run: _shares(axes, run),  # type: ignore[misc]
        )
        for number, run in enumerate(runs, 1)
        if run.train
    ]
    return [speed, *shares]


def _drawn(name: str, title: str, runs: Sequence[Run], plot: Callable[[Axes], None]) -> Plot:
    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_title(title)
        axes.set_xlabel("epochs")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        plot(axes)
        end = max((entry["at"] for run in runs for entry in [*run.train, *run.val]), default=1)
        axes.set_xlim(0, max(end, 0.01))
        if axes.get_legend_handles_labels()[1] and not axes.get_legend():
            if len(runs) > 1:
                figure.legend(loc="outside lower left")  # names are long, and hide no curve there
            else:
                axes.legend(loc="best")

    width, height = _SIZE
    return Plot(name, title, draw, (width, height + _LINE * len(runs) * (len(runs) > 1)))


def _both(axes: Axes, runs: Sequence[Run], what: str, scale: float) -> None:
    for run, colour in zip(runs, _colours(runs), strict=True):
        alone = len(runs) == 1
        if run.train:
            x, y = _points(run.train, what, scale)
            named = "training" if alone else None if run.val else run.name
            axes.plot(x, y, _seen(x), color=colour, alpha=0.55, linewidth=1, markersize=3, label=named)
        if run.val:
            x, y = _points(run.val, what, scale)
            marker, named = "o" if len(x) < 40 else "", "validation" if alone else run.name
            axes.plot(x, y, color=colour, linewidth=2.2, marker=marker, markersize=3.5, label=named)
    if scale != 1:
        axes.set_ylim(bottom=0)


def _rate(axes: Axes, runs: Sequence[Run]) -> None:
    for run, colour in zip(runs, _colours(runs), strict=True):
        # An entry is written at the end of the iterations that it is of.
        x, y = _points(run.train, "learning_rate", 1)
        axes.plot(x, y, _seen(x), color=colour, drawstyle="steps-pre", label=run.name if len(runs) > 1 else None)
    rates = [entry["learning_rate"] for run in runs for entry in run.train]
    if rates and min(rates) > 0 and max(rates) > 3 * min(rates):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)


def _speed(axes: Axes, runs: Sequence[Run]) -> None:
    for run, colour in zip(runs, _colours(runs), strict=True):
        x, y = _points(run.train, "images_per_s", 1)
        axes.plot(x, y, _seen(x), color=colour, label=run.name if len(runs) > 1 else None)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _shares(axes: Axes, run: Run) -> None:
    x = [entry["at"] for entry in run.train]
    layers = [_points(run.train, what, 100)[1] for what, _, _ in _SHARES]
    means = [sum(layer) / len(layer) for layer in layers]
    labels = [f"{words} {mean:.0f} %" for (_, words, _), mean in zip(_SHARES, means, strict=True)]
    axes.stackplot(x, layers, labels=labels, colors=[colour for *_, colour in _SHARES], alpha=0.8)
    axes.set_ylim(0, 100)
    axes.legend(loc="upper center", ncols=3, bbox_to_anchor=(0.5, -0.2), columnspacing=1)


def _points(entries: Sequence[dict[str, float]], what: str, scale: float) -> tuple[list[float], list[float]]:
    return [entry["at"] for entry in entries], [scale * entry[what] for entry in entries]


def _seen(x: Sequence[float]) -> str:
    """A single point makes no line."""
    return "o" if len(x) == 1 else "-"


def _colours(runs: Sequence[Run]) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(len(runs))]
