"""Make a small checkpoint without training."""

import torch

from lib.checkpoints.checkpoint import Checkpoint, Identity, Preparation

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
