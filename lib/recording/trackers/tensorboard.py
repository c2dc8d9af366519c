"""TensorBoard event files, in ``weights_dir/tensorboard``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter


class TensorBoard:
    """``Tracker`` that writes event files. It hides what an earlier process wrote beyond ``step``."""

    def __init__(self, weights_dir: Path, settings: Mapping[str, Any], step: int) -> None:
        self._writer = SummaryWriter(str(weights_dir / "tensorboard"), purge_step=step + 1 if step else None)
        rows = [f"| {key} | {value} |" for key, value in settings.items()]
        self._writer.add_text("configuration", "\n".join(["| key | value |", "|---|---|", *rows]), step)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()
