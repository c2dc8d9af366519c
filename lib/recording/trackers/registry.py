"""The trackers a run has: TensorBoard if it is wanted, and the one that ``logging.tracker`` names."""

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.config.schema import LoggingConfig
from lib.errors import ConfigError, first_line
from lib.recording.trackers.base import Tracker

# name -> (module, class, package that must be installed). Imported only when used.
TRACKERS = {
    "tensorboard": ("lib.recording.trackers.tensorboard", "TensorBoard", "tensorboard"),
    "wandb": ("lib.recording.trackers.wandb", "WandB", "wandb"),
    "mlflow": ("lib.recording.trackers.mlflow", "MLflow", "mlflow"),
}
OFF = dict.fromkeys(TRACKERS, "--logging.tracker none") | {"tensorboard": "--logging.tensorboard false"}


def wanted(logging: LoggingConfig) -> list[str]:
    """The names of the trackers to use."""
    named: list[str] = [] if logging.tracker == "none" else [logging.tracker]
    return ["tensorboard", *named] if logging.tensorboard else named


def check_trackers(logging: LoggingConfig) -> None:
    """Raises ConfigError for a tracker that is named and not installed."""
    for name in wanted(logging):
        if not importlib.util.find_spec(TRACKERS[name][2]):
            raise ConfigError(
                f"{name} is wanted but not installed; pip install {TRACKERS[name][2]}, or say {OFF[name]}"
            )


def open_trackers(logging: LoggingConfig, weights_dir: Path, settings: Mapping[str, Any], step: int) -> list[Tracker]:
    """One of each wanted, to go on after ``step`` iterations of the whole run.

    Raises ConfigError, with what its library says, when one cannot be started.
    """
    opened: list[Tracker] = []
    for name in wanted(logging):
        module, kind, _ = TRACKERS[name]
        try:
            opened.append(getattr(importlib.import_module(module), kind)(weights_dir, settings, step))
        except Exception as error:  # of whatever kind its library has: no login, no server, no disk
            raise ConfigError(
                f"{name} cannot be started ({first_line(error)}); mend that, or say {OFF[name]}"
            ) from error
    return opened
