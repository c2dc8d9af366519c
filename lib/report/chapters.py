"""The parts of a page about one run. A part that cannot be made says why; the others still come."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lib.checkpoints.checkpoint import Checkpoint
from lib.errors import UserError
from lib.report import images
from lib.report.answers import confusion_figure, samples_figure
from lib.report.drawing import Plot
from lib.report.network import Effort, Looker, first_filters, latest
from lib.report.predictions import Sample, SampledPredictions
from lib.report.runs import Run, read_config
from lib.system.atomic_write import write_aside

# Side of a sample's picture on the page, and of all first-layer filters together, in pixels.
_THUMBNAIL, _FILTERS_SIDE = 160, 720
_T = TypeVar("_T")


@dataclass(kw_only=True)
class Chapter:
    """What the page shows of one run."""

    run: Run
    checkpoint: str = ""
    saved: Checkpoint | None = None
    sheets: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    """pictures (H, W, 3) by name"""
    filters: str = ""
    """a data URI, as are the other pictures"""
    n_filters: int = 0
    filters_size: str = ""
    views: str = ""
    predictions: SampledPredictions | None = None
    samples: list[tuple[str, Sample]] = field(default_factory=list)
    confusion: Plot | None = None
    missing: list[str] = field(default_factory=list)
    """why something is not there"""


def chapter(run: Run, effort: Effort, pictures: Path) -> Chapter:
    """Ask the run's latest checkpoint; pictures are written into ``pictures`` too."""
    made = Chapter(run=run)
    with_checkpoint = _try(made, "filters", lambda: latest(run.folder))
    if with_checkpoint is None:
        return made
    path, saved = with_checkpoint
    made.checkpoint, made.saved = path.name, saved
    filters = first_filters(saved.parameters)
    if filters is not None:
        _add_filters(made, filters, pictures)
    looker = _try(made, "views and predictions", lambda: Looker(read_config(run.folder), path, saved, effort))
    if looker is None:
        return made
    views = _try(made, "views", looker.network_inputs)
    if views is not None:
        sheet = made.sheets["views"] = images.grid(images.input_tiles(views), columns=8, gap=2)
        made.views = _picture(sheet, pictures / "views.png")
    made.predictions = _try(made, "predictions", looker.predictions)
    if made.predictions:
        _add_answers(made, made.predictions, pictures)
    return made


def _add_filters(made: Chapter, filters: NDArray[np.float32], pictures: Path) -> None:
    count, _, height, width = filters.shape
    columns = images.columns_for(count)
    zoom = max(2, _FILTERS_SIDE // (columns * width))
    sheet = made.sheets["filters"] = images.grid(images.filter_tiles(filters), columns=columns, zoom=zoom)
    made.filters = _picture(sheet, pictures / "filters.png")
    made.n_filters, made.filters_size = count, f"{height} x {width}"


def _add_answers(made: Chapter, predictions: SampledPredictions, pictures: Path) -> None:
    for sample in predictions.samples:
        small = Image.fromarray(sample.image_HWC)
        small.thumbnail((_THUMBNAIL, _THUMBNAIL))
        made.samples.append((images.data_uri(images.png(np.asarray(small))), sample))
    made.confusion = confusion_figure(predictions)
    made.confusion.write(pictures)
    samples_figure(predictions.samples).write(pictures)


def _picture(pixels_HWC: NDArray[np.uint8], path: Path) -> str:
    content = images.png(pixels_HWC)
    write_aside(path, content)
    return images.data_uri(content)


def _try(made: Chapter, what: str, make: Callable[[], _T]) -> _T | None:
    """What ``make`` returns, or None and a note of what the user can mend."""
    try:
        return make()
    except (UserError, OSError, RuntimeError) as error:
        said = " ".join(str(error).split())
        made.missing.append(f"No {what}: {said}")
        return None
