"""The trackers of a run: TensorBoard unless it is switched off, and the one that ``logging.tracker`` names."""

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.config.schema import LoggingConfig
from lib.errors import ConfigError, first_line
from lib.recording.trackers.base import Tracker

# name: (module, class, package that must be installed). Imported only when used.
TRACKERS = {
    "tensorboard": ("lib.recording.trackers.tensorboard", "TensorBoard", "tensorboard"),
    "wandb": ("lib.recording.trackers.wandb", "WandB", "wandb"),
    "mlflow": ("lib.recording.trackers.mlflow", "MLflow", "mlflow"),
}
_SWITCH_OFF = dict.fromkeys(TRACKERS, "--logging.tracker none") | {"tensorboard": "--logging.tensorboard false"}


def check_trackers(logging: LoggingConfig) -> None:
    """Raise ConfigError if a tracker of the run is not installed."""
    for name in _names(logging):
        package = TRACKERS[name][2]
        if not importlib.util.find_spec(package):
            raise ConfigError(f"{name} is not installed; pip install {package}, or set {_SWITCH_OFF[name]}")


def open_trackers(logging: LoggingConfig, weights_dir: Path, settings: Mapping[str, Any], step: int) -> list[Tracker]:
    """Return the trackers of the run, to continue after ``step`` iterations.

    Raises ConfigError, with the message of its library, if a tracker cannot be started.
    """
    trackers: list[Tracker] = []
    for name in _names(logging):
        module, class_name, _ = TRACKERS[name]
        try:
            trackers.append(getattr(importlib.import_module(module), class_name)(weights_dir, settings, step))
        except Exception as error:  # of any type: no login, no server, a full disk
            raise ConfigError(
                f"{name} cannot be started ({first_line(error)}); fix that, or set {_SWITCH_OFF[name]}"
            ) from error
    return trackers


def _names(logging: LoggingConfig) -> list[str]:
    named: list[str] = [] if logging.tracker == "none" else [logging.tracker]
    return ["tensorboard", *named] if logging.tensorboard else named
