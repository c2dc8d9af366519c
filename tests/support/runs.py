"""Compare what two real runs left on disk."""

from pathlib import Path

import torch


def final_tensors(weights_dir: Path, epoch: int = 4) -> dict[str, torch.Tensor]:
    """Return every tensor of the checkpoint after ``epoch``."""
    state = torch.load(weights_dir / f"checkpoints/epoch{epoch:03d}_iter00000.pt", weights_only=True)
    return {f"{part}.{name}": value for part in ("parameters", "momentum") for name, value in state[part].items()}


def assert_same_bits(a: Path, b: Path, epoch: int = 4) -> None:
    ours, theirs = final_tensors(a, epoch), final_tensors(b, epoch)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert value.numpy().tobytes() == theirs[name].numpy().tobytes(), name
    assert (a / "val_record.npy").read_bytes() == (b / "val_record.npy").read_bytes()
