"""Write images and histograms for TensorBoard. The report does this, not the trainer: it costs the training nothing."""

from torch.utils.tensorboard import SummaryWriter

from .run_section import RunSection


def write_events(section: RunSection) -> None:
    """Write the section's images, and histograms of the weights, under their epoch, if the run has event files.

    Does nothing if that was done for the same checkpoint before.
    """
    saved, settings = section.saved, section.run.settings
    folder = section.run.folder / "tensorboard" / "pictures"
    if not saved or settings.get("logging.tensorboard") != "true" or list(folder.glob(f"*.{saved.name}")):
        return
    writer = SummaryWriter(str(folder), filename_suffix=f".{saved.name}")
    for name, pixels_HWC in section.sheets.items():
        writer.add_image(name, pixels_HWC, saved.epoch, dataformats="HWC")
    if settings.get("logging.histograms") == "true":
        for name, tensor in saved.parameters.items():
            writer.add_histogram(name, tensor.float(), saved.epoch)
    writer.close()
