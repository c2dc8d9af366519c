"""MLflow, where it is installed. MLFLOW_TRACKING_URI says where to, as always."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class MLflow:
    """``Tracker`` that logs to a run of MLflow."""

    def __init__(self, weights_dir: Path, settings: Mapping[str, Any], step: int) -> None:
        self._mlflow: Any = importlib.import_module("mlflow")
        self._mlflow.start_run(run_name=weights_dir.resolve().name)
        self._mlflow.log_params(dict(settings))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._mlflow.log_metrics(dict(values), step=step)

    def close(self) -> None:
        self._mlflow.end_run()
