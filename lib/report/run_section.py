"""The section of the page about one run. A part that cannot be made says why, and the others are still shown."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..checkpoints.checkpoint import Checkpoint
from ..errors import error_text
from ..evaluation.plot import Plot
from ..system.atomic_write import replace_file
from ..system.terminal import printable
from . import images
from .inspector import CheckpointInspector, SampleBudget, first_filters, latest_checkpoint
from .prediction_plots import confusion_plot, samples_plot
from .predictions import SampledPredictions
from .runs import Run, read_inputs

_T = TypeVar("_T")


@dataclass(kw_only=True)
class RunSection:
    """What the page shows of one run."""

    run: Run
    saved: Checkpoint | None = None
    sheets: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    """images (H, W, 3) by name: filters, augmented_images"""
    filters: str = ""
    """number and size of the filters"""
    predictions: SampledPredictions | None = None
    confusion: Plot | None = None
    """None for more classes than a matrix can show, or few images of each"""
    missing: list[str] = field(default_factory=list)
    """for each part that is missing, why"""

    def attempt(self, part: str, build: Callable[[], _T]) -> _T | None:
        """Return ``build()``. If it fails, return None and note why."""
        try:
            return build()
        except Exception as error:  # of any type: what is on the disk may be damaged in any way
            self.missing.append(f"No {part}: {printable(' '.join(error_text(error).split()))}")
            return None


def build_section(run: Run, budget: SampleBudget, folder: Path) -> RunSection:
    """Inspect the run's latest checkpoint. Images are also written into ``folder``."""
    section = RunSection(run=run)
    section.saved = saved = section.attempt("filters", lambda: latest_checkpoint(run.folder))
    if saved is None:
        return section
    filters = first_filters(saved.parameters)
    if filters is not None:
        count, _, height, width = filters.shape
        section.filters = f"{count} filters of {height} x {width}"
        section.sheets["filters"] = images.filter_sheet(filters)
    inspector = section.attempt(
        "augmented images and predictions", lambda: CheckpointInspector(read_inputs(run.folder), saved, budget)
    )
    if inspector:
        inputs = section.attempt("augmented images", inspector.training_inputs)
        if inputs is not None:
            section.sheets["augmented_images"] = images.input_sheet(inputs)
        section.predictions = section.attempt("predictions", inspector.predictions)
    for name, sheet in section.sheets.items():
        replace_file(folder / f"{name}.png", images.png(sheet))
    if predictions := section.predictions:
        section.attempt("samples.png", lambda: samples_plot(predictions.samples).write(folder))
        if predictions.confusion.has_matrix and predictions.tells_classes:
            section.confusion = section.attempt("confusion matrix", lambda: confusion_plot(predictions))
    if section.confusion:
        section.confusion.write(folder)
    return section
