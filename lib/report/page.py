"""From runs to ``report.html``: one file that needs nothing else, and its pictures as PNG in ``report/``."""

import time
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lib.report.chapters import Chapter, chapter
from lib.report.curves import learning_curves, speed_curves
from lib.report.drawing import COLOURS
from lib.report.events import write_events
from lib.report.network import Effort
from lib.report.runs import differing, read_run
from lib.report.waiting import wait_advice
from lib.system.atomic_write import write_aside

# Best and worst classes that the page lists.
_RANKED = 10


def write_report(folders: Sequence[Path], effort: Effort) -> Path:
    """Write the page of all ``folders`` into the first one. Raises ConfigError where one holds no run."""
    runs = [read_run(folder) for folder in folders]
    pictures = folders[0] / "report"
    pictures.mkdir(exist_ok=True)
    curves, speed = learning_curves(runs), speed_curves(runs)
    for drawn in [*curves, *speed]:
        drawn.write(pictures)
    chapters = []
    for number, run in enumerate(runs, 1):
        place = pictures if len(runs) == 1 else pictures / f"{number}_{run.name}"
        place.mkdir(exist_ok=True)
        chapters.append(chapter(run, effort, place))
        _add_events(chapters[-1])
    template = _templates().get_template("page.html.j2")
    html = template.render(
        title=" / ".join(run.name for run in runs),
        runs=runs,
        chapters=chapters,
        curves=curves,
        speed=speed,
        differing=differing(runs),
        waited=[(run.name, advice) for run in runs if (advice := wait_advice(run))],
        colours=COLOURS,
        ranked=_RANKED,
        written=time.strftime("%Y-%m-%d %H:%M"),
    )
    path = folders[0] / "report.html"
    write_aside(path, html.encode())
    return path


def _add_events(made: Chapter) -> None:
    """The pictures for TensorBoard, where the run writes event files."""
    settings = made.run.settings
    if made.saved and settings.get("logging.tensorboard") == "true":
        histograms = settings.get("logging.histograms") == "true"
        write_events(made.run.folder, made.saved, made.sheets, histograms=histograms)


def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["percent"] = lambda fraction: f"{100 * fraction:.1f} %"
    return templates
