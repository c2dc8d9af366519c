"""Learning curves, speed and time shares of one run or several."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lib.report.drawing import COLOURS, Drawn
from lib.report.runs import Run

_SIZE = (5.0, 3.0)
_SHARES = (
    ("compute", "computing", COLOURS[0]),
    ("exchange", "exchanging", COLOURS[2]),
    ("wait", "waiting", COLOURS[1]),
)


def learning_curves(runs: Sequence[Run]) -> list[Drawn]:
    """Loss, top-1 and top-5 error (training thin, validation bold) and learning rate over epochs."""
    return [
        _drawn("loss", "Loss", runs, lambda axes: _both(axes, runs, "loss", 1)),
        _drawn("top1_error", "Top-1 error, %", runs, lambda axes: _both(axes, runs, "top1_error", 100)),
        _drawn("top5_error", "Top-5 error, %", runs, lambda axes: _both(axes, runs, "top5_error", 100)),
        _drawn("learning_rate", "Learning rate", runs, lambda axes: _rate(axes, runs)),
    ]


def speed_curves(runs: Sequence[Run]) -> list[Drawn]:
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


def _drawn(name: str, title: str, runs: Sequence[Run], plot: Callable[[Axes], None]) -> Drawn:
    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_title(title)
        axes.set_xlabel("epochs")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        plot(axes)
        end = max((entry["at"] for run in runs for entry in [*run.train, *run.val]), default=1)
        axes.set_xlim(0, max(end, 0.01))
        if axes.get_legend_handles_labels()[1] and not axes.get_legend():
            axes.legend(loc="best")

    return Drawn(name, title, draw, _SIZE)


def _both(axes: Axes, runs: Sequence[Run], what: str, scale: float) -> None:
    for run, colour in zip(runs, _colours(runs), strict=True):
        label = "" if len(runs) == 1 else f"{run.name} "
        if run.train:
            x, y = _points(run.train, what, scale)
            axes.plot(x, y, color=colour, alpha=0.55, linewidth=1, label=f"{label}training")
        if run.val:
            x, y = _points(run.val, what, scale)
            marker = "o" if len(x) < 40 else ""
            axes.plot(x, y, color=colour, linewidth=2.2, marker=marker, markersize=3.5, label=f"{label}validation")
    if scale != 1:
        axes.set_ylim(bottom=0)


def _rate(axes: Axes, runs: Sequence[Run]) -> None:
    for run, colour in zip(runs, _colours(runs), strict=True):
        # An entry is written at the end of the iterations that it is of.
        x, y = _points(run.train, "learning_rate", 1)
        axes.plot(x, y, color=colour, drawstyle="steps-pre", label=run.name if len(runs) > 1 else None)
    rates = [entry["learning_rate"] for run in runs for entry in run.train]
    if rates and min(rates) > 0 and max(rates) > 3 * min(rates):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)


def _speed(axes: Axes, runs: Sequence[Run]) -> None:
    for run, colour in zip(runs, _colours(runs), strict=True):
        x, y = _points(run.train, "images_per_s", 1)
        axes.plot(x, y, color=colour, label=run.name if len(runs) > 1 else None)
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


def _colours(runs: Sequence[Run]) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(len(runs))]
