"""MLflow, where it is installed. MLFLOW_TRACKING_URI says where to, as always."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.recording.trackers.base import KeptId

# A server that does not answer is asked twice; MLflow's own seven times with growing pauses would hold up the run.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class MLflow:
    """``Tracker`` that logs to a run of MLflow, the same one where a run is resumed."""

    def __init__(self, weights_dir: Path, settings: Mapping[str, Any], step: int) -> None:
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        self._mlflow: Any = importlib.import_module("mlflow")
        cached = KeptId(weights_dir, "mlflow", step)
        if cached.known:
            self._mlflow.start_run(run_id=cached.known)  # its parameters are there, and cannot be changed
        else:
            cached.keep(self._mlflow.start_run(run_name=weights_dir.resolve().name).info.run_id)
            self._mlflow.log_params(dict(settings))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._mlflow.log_metrics(dict(values), step=step)

    def close(self) -> None:
        self._mlflow.end_run()
