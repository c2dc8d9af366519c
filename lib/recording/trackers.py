"""The trackers of a run: TensorBoard unless it is switched off, and the one that ``logging.tracker`` names.

The library of a tracker is imported only when the tracker is opened.
"""

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ..config.schema import LoggingConfig
from ..errors import ConfigError, first_line

# Retry once. MLflow's default of seven retries with growing pauses would stall the run when its server is down.
_MLFLOW_TIMEOUTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class Tracker(Protocol):
    """Logs the metrics of a run."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log ``values`` by name, after ``step`` iterations of the whole run."""

    def close(self) -> None: ...


class TensorBoard:
    """Writes event files to ``weights_dir/tensorboard``. Hides what an earlier process wrote beyond ``step``."""

    def __init__(self, weights_dir: Path, settings: Mapping[str, Any], step: int) -> None:
        tensorboard: Any = importlib.import_module("torch.utils.tensorboard")
        self._writer = tensorboard.SummaryWriter(
            str(weights_dir / "tensorboard"), purge_step=step + 1 if step else None
        )
        rows = [f"| {key} | {value} |" for key, value in settings.items()]
        self._writer.add_text("configuration", "\n".join(["| key | value |", "|---|---|", *rows]), step)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class RunIdFile:
    """The id that a tracker gave to a run, in a file of the run's folder: a resumed run continues under it."""

    def __init__(self, weights_dir: Path, tracker: str, step: int) -> None:
        """``step`` is the number of iterations done."""
        self._path = weights_dir / f"{tracker}_run.txt"
        self.run_id = (
            self._path.read_text(encoding="utf-8", errors="replace").strip() if step and self._path.is_file() else None
        )
        """None for a run that starts from iteration 0"""

    def save(self, run_id: str) -> None:
        self._path.write_text(f"{run_id}\n", encoding="utf-8")


class WandB:
    """Logs to a run of Weights & Biases, if you are logged in (``wandb login``)."""

    def __init__(self, weights_dir: Path, settings: Mapping[str, Any], step: int) -> None:
        wandb: Any = importlib.import_module("wandb")
        file = RunIdFile(weights_dir, "wandb", step)
        self._run = wandb.init(
            project="tandem",
            name=weights_dir.resolve().name,
            dir=str(weights_dir),
            config=dict(settings),
            id=file.run_id,
            resume="allow",
        )
        file.save(self._run.id)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """Logs to a run of MLflow, on the server that the environment variable MLFLOW_TRACKING_URI names."""

    def __init__(self, weights_dir: Path, settings: Mapping[str, Any], step: int) -> None:
        for name, value in _MLFLOW_TIMEOUTS.items():
            os.environ.setdefault(name, value)
        self._mlflow: Any = importlib.import_module("mlflow")
        file = RunIdFile(weights_dir, "mlflow", step)
        if file.run_id:
            self._mlflow.start_run(run_id=file.run_id)  # it has its parameters already, and they cannot be changed
        else:
            file.save(self._mlflow.start_run(run_name=weights_dir.resolve().name).info.run_id)
            self._mlflow.log_params(dict(settings))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._mlflow.log_metrics(dict(values), step=step)

    def close(self) -> None:
        self._mlflow.end_run()


# Each name is also that of the package that must be installed.
TRACKERS: dict[str, Callable[[Path, Mapping[str, Any], int], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "mlflow": MLflow,
}
_SWITCH_OFF = dict.fromkeys(TRACKERS, "--logging.tracker none") | {"tensorboard": "--logging.tensorboard false"}


def check_trackers(logging: LoggingConfig) -> None:
    """Raise ConfigError if a tracker of the run is not installed."""
    for name in _names(logging):
        if not importlib.util.find_spec(name):
            raise ConfigError(f"{name} is not installed; pip install {name}, or set {_SWITCH_OFF[name]}")


def open_trackers(logging: LoggingConfig, weights_dir: Path, settings: Mapping[str, Any], step: int) -> list[Tracker]:
    """Return the trackers of the run, to continue after ``step`` iterations.

    Raises ConfigError, with the message of its library, if a tracker cannot be started.
    """
    trackers = []
    for name in _names(logging):
        try:
            trackers.append(TRACKERS[name](weights_dir, settings, step))
        except Exception as error:  # of any type: no login, no server, a full disk
            raise ConfigError(
                f"{name} cannot be started ({first_line(error)}); fix that, or set {_SWITCH_OFF[name]}"
            ) from error
    return trackers


def _names(logging: LoggingConfig) -> list[str]:
    named: list[str] = [] if logging.tracker == "none" else [logging.tracker]
    return ["tensorboard", *named] if logging.tensorboard else named
