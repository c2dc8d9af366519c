"""Weights & Biases, where it is installed. It finds who you are as it always does (``wandb login``)."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.recording.trackers.base import KeptId


class WandB:
    """``Tracker`` that logs to a run of Weights & Biases, the same one where a run is resumed."""

    def __init__(self, weights_dir: Path, settings: Mapping[str, Any], step: int) -> None:
        wandb: Any = importlib.import_module("wandb")
        cached = KeptId(weights_dir, "wandb", step)
        self._run = wandb.init(
            project="alexnet-trainer",
            name=weights_dir.resolve().name,
            dir=str(weights_dir),
            config=dict(settings),
            id=cached.known,
            resume="allow",
        )
        cached.keep(self._run.id)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()
