"""Make a small checkpoint without training."""

from pathlib import Path

import torch

from lib.checkpoints.checkpoint import Checkpoint, Identity, Preparation
from lib.checkpoints.folder import CheckpointFolder
from lib.models.registry import model_spec

IDENTITY = Identity(model="tiny", n_classes=2, img_size=2, data_fingerprint="abc")


def checkpoint(epoch: int = 1, iteration: int = 0) -> Checkpoint:
    return Checkpoint(
        identity=IDENTITY,
        preparation=Preparation(
            resize="crop", mean=torch.arange(12.0).view(3, 2, 2), classes=(("n01", "cat"), ("n02", "dog"))
        ),
        seed=1,
        total_batch_size=16,
        epoch=epoch,
        iteration=iteration,
        val_record=torch.tensor([[0.5, 1.0]] * epoch, dtype=torch.float64),
        parameters={"w": torch.full((3,), float(epoch))},
        momentum={"w": torch.zeros(3)},
    )


def write_run(folder: Path) -> Path:
    """Write the checkpoint of a run, whose network tells pictures apart, into ``folder``/models, and return that."""
    torch.manual_seed(2)
    model = model_spec("tiny").build(4, 28)
    with torch.no_grad():
        for value in model.parameters():
            value *= 3
    saved = Checkpoint(
        identity=Identity(model="tiny", n_classes=4, img_size=32, data_fingerprint="abc"),
        preparation=Preparation(
            resize="crop",
            mean=255 * torch.rand(3, 32, 32),
            classes=tuple((f"n{i}", f"class {i}") for i in range(4)),
            std=(60.0, 50.0, 40.0),
        ),
        seed=1,
        total_batch_size=16,
        epoch=1,
        iteration=0,
        val_record=torch.zeros(1, 2, dtype=torch.float64),
        parameters=model.state_dict(),
        momentum={},
    )
    CheckpointFolder(folder / "models/checkpoints", keep=1).save(saved, is_best=True)
    return folder / "models"
