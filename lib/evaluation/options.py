"""The options of validate.py beside the configuration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Which weights to evaluate, how, and where to write the results."""

    checkpoint: Path | None = None
    """the checkpoint to evaluate, or a run's folder, or weights of model.name in another format that
    lib/formats/registry.py reads (default: the best checkpoint in run.weights_dir)"""
    crops: Literal[1, 2, 10] = 1
    """crops of each image whose probabilities are averaged. 1: the centre; 2: and its mirror image;
    10: centre and four corners, each with its mirror image"""
    crop: Literal["center", "whole"] = "center"
    """what of each image the network gets. center: crops, as --crops says; whole: the whole image, shrunk to the size
    of a crop, and with --crops 2 its mirror image"""
    out: Path | None = None
    """folder for metrics, errors by class and confusion matrix (default: next to the checkpoint, named
    after it and the number of crops, and after the data set unless that is the one of the training)"""

    def __post_init__(self) -> None:
        if self.crop == "whole" and self.crops == 10:
            raise ConfigError("--crop whole has no corners for --crops 10; give --crops 1 or 2, or --crop center")
