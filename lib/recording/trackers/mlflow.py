"""MLflow, if it is installed. The environment variable MLFLOW_TRACKING_URI names its server, as usual."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.recording.trackers.base import RunIdFile

# Retry once. MLflow's default of seven retries with growing pauses would stall the run when its server is down.
_TIMEOUTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class MLflow:
    """``Tracker`` that logs to a run of MLflow. A resumed training continues the same run."""

    def __init__(self, weights_dir: Path, settings: Mapping[str, Any], step: int) -> None:
        for name, value in _TIMEOUTS.items():
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
