"""The section of the page about one run. A part that cannot be made says why, and the others are still shown."""

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
from lib.report.inspector import CheckpointInspector, SampleBudget, first_filters, latest_checkpoint
from lib.report.plot import Plot
from lib.report.prediction_plots import confusion_plot, samples_plot
from lib.report.predictions import SampledPredictions, SampleImage
from lib.report.runs import Run, read_inputs
from lib.system.atomic_write import replace_file

# Sides in pixels: of a sample on the page, and of the sheet of filters.
_THUMBNAIL, _FILTERS_SIDE = 160, 720
_T = TypeVar("_T")


@dataclass(kw_only=True)
class RunSection:
    """What the page shows of one run. Images are data URIs."""

    run: Run
    checkpoint: str = ""
    saved: Checkpoint | None = None
    sheets: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    """images (H, W, 3) by name"""
    filters: str = ""
    n_filters: int = 0
    filter_size: str = ""
    augmented_images: str = ""
    predictions: SampledPredictions | None = None
    samples: list[tuple[str, SampleImage]] = field(default_factory=list)
    confusion: Plot | None = None
    missing: list[str] = field(default_factory=list)
    """for each part that is missing, why"""


def build_section(run: Run, budget: SampleBudget, folder: Path) -> RunSection:
    """Inspect the run's latest checkpoint. Images are also written into ``folder``."""
    section = RunSection(run=run)
    loaded = _try(section, "filters", lambda: latest_checkpoint(run.folder))
    if loaded is None:
        return section
    path, saved = loaded
    section.checkpoint, section.saved = path.name, saved
    filters = first_filters(saved.parameters)
    if filters is not None:
        _add_filters(section, filters, folder)
    inspector = _try(
        section,
        "augmented images and predictions",
        lambda: CheckpointInspector(read_inputs(run.folder), path, saved, budget),
    )
    if inspector is None:
        return section
    inputs = _try(section, "augmented images", inspector.training_inputs)
    if inputs is not None:
        sheet = images.grid(images.input_tiles(inputs), columns=8, gap=2)
        section.augmented_images = _add_sheet(section, "augmented_images", sheet, folder)
    section.predictions = _try(section, "predictions", inspector.predictions)
    if section.predictions:
        _add_predictions(section, section.predictions, folder)
    return section


def _add_filters(section: RunSection, filters: NDArray[np.float32], folder: Path) -> None:
    count, _, height, width = filters.shape
    columns = images.columns_for(count)
    zoom = max(2, _FILTERS_SIDE // (columns * width))
    sheet = images.grid(images.filter_tiles(filters), columns=columns, zoom=zoom)
    section.filters = _add_sheet(section, "filters", sheet, folder)
    section.n_filters, section.filter_size = count, f"{height} x {width}"


def _add_predictions(section: RunSection, predictions: SampledPredictions, folder: Path) -> None:
    for sample in predictions.samples:
        thumbnail = Image.fromarray(sample.image_HWC)
        thumbnail.thumbnail((_THUMBNAIL, _THUMBNAIL))
        section.samples.append((images.data_uri(images.png(np.asarray(thumbnail))), sample))
    section.confusion = confusion_plot(predictions)
    section.confusion.write(folder)
    samples_plot(predictions.samples).write(folder)


def _add_sheet(section: RunSection, name: str, sheet: NDArray[np.uint8], folder: Path) -> str:
    """Keep ``sheet`` under ``name``, write it into ``folder``, and return it as a data URI."""
    section.sheets[name] = sheet
    content = images.png(sheet)
    replace_file(folder / f"{name}.png", content)
    return images.data_uri(content)


def _try(section: RunSection, part: str, build: Callable[[], _T]) -> _T | None:
    """Return ``build()``. If it fails, return None and note why."""
    try:
        return build()
    except (UserError, OSError, RuntimeError) as error:
        section.missing.append(f"No {part}: {' '.join(str(error).split())}")
        return None
