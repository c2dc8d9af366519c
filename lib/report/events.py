"""Write images and histograms for TensorBoard. The report does this, not the trainer: it costs the training nothing.

They lie in the folder of the trainer's file, so that TensorBoard shows one run. It reads the files of a folder by name,
and never returns to an earlier one. The names of these come first: a TensorBoard that was started before does not show
them, but misses none of the trainer's lines.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from .run_section import RunSection

_FIRST = "events.out.tfevents.0000000000.pictures"
_UNFINISHED = ".pictures"
_PICTURES = ("confusion_matrix", "samples")


def write_events(section: RunSection, pictures: Path) -> None:
    """Write the section's images, those in the folder ``pictures``, and histograms, if the run has event files.

    Their step is the number of iterations. Does nothing if that was done for the same checkpoint before.
    """
    saved, settings = section.saved, section.run.settings
    folder = section.run.folder / "tensorboard"
    for unfinished in section.run.folder.glob(f"{_UNFINISHED}*"):  # of a report that was killed
        shutil.rmtree(unfinished, ignore_errors=True)  # TensorBoard would show it as a run of its own
    if not saved or settings.get("logging.tensorboard") != "true" or not folder.is_dir():
        return
    path = folder / f"{_FIRST}.{saved.name}"
    if path.exists():
        return
    step = saved.epoch * section.run.iterations + saved.iteration
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=_UNFINISHED) as temporary:
        writer = SummaryWriter(temporary)
        for name, pixels_HWC in section.sheets.items():
            writer.add_image(name, pixels_HWC, step, dataformats="HWC")
        for name in _PICTURES if section.predictions else ():
            if (file := pictures / f"{name}.png").exists():
                writer.add_image(name, np.asarray(Image.open(file).convert("RGB")), step, dataformats="HWC")
        if settings.get("logging.histograms") == "true":
            for name, tensor in saved.parameters.items():
                writer.add_histogram(name, tensor.float(), step)
        writer.close()
        next(Path(temporary).iterdir()).rename(path)
