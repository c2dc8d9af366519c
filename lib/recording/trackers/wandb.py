"""Weights & Biases, if it is installed and you are logged in (``wandb login``)."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.recording.trackers.base import RunIdFile


class WandB:
    """``Tracker`` that logs to a run of Weights & Biases. A resumed training continues the same run."""

    def __init__(self, weights_dir: Path, settings: Mapping[str, Any], step: int) -> None:
        wandb: Any = importlib.import_module("wandb")
        file = RunIdFile(weights_dir, "wandb", step)
        self._run = wandb.init(
            project="alexnet-trainer",
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
