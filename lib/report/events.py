"""Write images and histograms for TensorBoard. The report does this, not the trainer: it costs the training nothing."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from lib.checkpoints.checkpoint import Checkpoint


def write_events(
    weights_dir: Path, saved: Checkpoint, images: dict[str, NDArray[np.uint8]], *, histograms: bool
) -> None:
    """Write ``images`` (H, W, 3), and histograms of the weights, under the epoch of ``saved``; once per checkpoint."""
    folder = weights_dir / "tensorboard" / "pictures"
    suffix = f".{saved.name}"
    if list(folder.glob(f"*{suffix}")):
        return
    writer = SummaryWriter(str(folder), filename_suffix=suffix)
    for name, pixels_HWC in images.items():
        writer.add_image(name, pixels_HWC, saved.epoch, dataformats="HWC")
    if histograms:
        for name, tensor in saved.parameters.items():
            writer.add_histogram(name, tensor.float(), saved.epoch)
    writer.close()
