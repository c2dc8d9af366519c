"""Write ``report.html``, a page that needs no other file, and its images as PNG files into ``report/``."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tqdm import tqdm

from ..errors import ConfigError
from ..evaluation.plot import COLOURS
from ..recording.settings_log import differing
from ..system.atomic_write import replace_file
from .curves import charts, time_axis, time_shares
from .epochs import epoch_figures
from .events import write_events
from .images import data_uri
from .inspector import SampleBudget
from .run_section import build_section
from .runs import read_run, wait_advice

# Number of best and of worst classes that the page lists.
_RANKED = 10


def write_report(folders: Sequence[Path], budget: SampleBudget, out: Path | None = None) -> Path:
    """Write the page about all ``folders`` to ``out``, and its images into the folder beside it with its name.

    ``out`` is by default report.html in the run's folder, or compare.html in the current one for several runs. Raises
    ConfigError if a folder holds no run, or if ``out`` is the page of a run while several are compared.
    """
    runs = [read_run(folder) for folder in folders]
    path = out or (folders[0] / "report.html" if len(runs) == 1 else Path("compare.html"))
    if len(runs) > 1 and path.name == "report.html" and (path.parent / "config.yaml").exists():
        raise ConfigError(f"{path} is the page of one run; name another file with --out")
    images = path.with_suffix("")
    images.mkdir(parents=True, exist_ok=True)
    curves, speed = charts(runs, "learning"), [*charts(runs, "speed"), *time_shares(runs)]
    for plot in [*curves, *speed]:
        plot.write(images)
    over_time = charts(runs, "learning", time_axis(runs))
    sections = []
    for number, run in enumerate(runs, 1):
        folder = images if len(runs) == 1 else images / f"{number}_{run.name}"
        folder.mkdir(exist_ok=True)
        section = build_section(run, budget, folder)
        section.attempt("images for TensorBoard", partial(write_events, section, folder))
        sections.append(section)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda fraction: f"{100 * fraction:.1f} %",
        "interval": tqdm.format_interval,
        "data_uri": data_uri,
    }
    html = environment.get_template("page.html.j2").render(
        title=" / ".join(run.name for run in runs),
        runs=runs,
        sections=sections,
        curves=curves,
        over_time=over_time,
        epochs=epoch_figures(runs[0]),
        speed=speed,
        differing=differing([run.settings for run in runs]),
        slow_data=[(run.name, advice) for run in runs if (advice := wait_advice(run))],
        colours=COLOURS,
        ranked=_RANKED,
        written=time.strftime("%Y-%m-%d %H:%M"),
    )
    replace_file(path, html.encode(errors="backslashreplace"))
    return path
