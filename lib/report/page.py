"""Write ``report.html``, a page that needs no other file, and its images as PNG files into ``report/``."""

import time
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from lib.report.curves import learning_curves, speed_curves
from lib.report.events import write_events
from lib.report.inspector import SampleBudget
from lib.report.plot import COLOURS
from lib.report.run_section import RunSection, build_section
from lib.report.runs import differing, read_run
from lib.report.slow_data import wait_advice
from lib.system.atomic_write import replace_file

# Number of best and of worst classes that the page lists.
_RANKED = 10


def write_report(folders: Sequence[Path], budget: SampleBudget) -> Path:
    """Write the page about all ``folders`` into the first one. Raises ConfigError if one holds no run."""
    runs = [read_run(folder) for folder in folders]
    images = folders[0] / "report"
    images.mkdir(exist_ok=True)
    curves, speed = learning_curves(runs), speed_curves(runs)
    for plot in [*curves, *speed]:
        plot.write(images)
    sections = []
    for number, run in enumerate(runs, 1):
        folder = images if len(runs) == 1 else images / f"{number}_{run.name}"
        folder.mkdir(exist_ok=True)
        sections.append(build_section(run, budget, folder))
        _write_events(sections[-1])
    html = _template().render(
        title=" / ".join(run.name for run in runs),
        runs=runs,
        sections=sections,
        curves=curves,
        speed=speed,
        differing=differing(runs),
        slow_data=[(run.name, advice) for run in runs if (advice := wait_advice(run))],
        colours=COLOURS,
        ranked=_RANKED,
        written=time.strftime("%Y-%m-%d %H:%M"),
    )
    path = folders[0] / "report.html"
    replace_file(path, html.encode())
    return path


def _write_events(section: RunSection) -> None:
    """Write the section's images for TensorBoard, if the run writes event files."""
    settings = section.run.settings
    if section.saved and settings.get("logging.tensorboard") == "true":
        histograms = settings.get("logging.histograms") == "true"
        write_events(section.run.folder, section.saved, section.sheets, histograms=histograms)


def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda fraction: f"{100 * fraction:.1f} %"
    return environment.get_template("page.html.j2")
