"""Checkpoints: the state of a training as a dict of plain tensors, which torch.load(weights_only=True) opens.

A checksum in the file detects any damaged byte.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec
import torch
from torch import Tensor

from ..errors import CheckpointError, first_line
from ..types import PUBLISHED, Variant
from .tensor_checks import load_tensors, tensor_flaw
from .zip_checksum import append_checksum, verify_checksum

FORMAT = 4
# Older formats that can be read: the current name of each key that was renamed.
RENAMED_KEYS: dict[int, dict[str, str]] = {2: {"velocities": "momentum", "rewinds": "rollbacks"}, 3: {}}


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The properties that a checkpoint must share with the run that uses it."""

    model: str
    n_classes: int
    img_size: int
    data_fingerprint: str
    variant: Variant = PUBLISHED


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How an image becomes the network's input, and the names of the classes: enough to classify with."""

    resize: Literal["squash", "crop"]
    """how images were made square"""
    mean: Tensor
    """the mean image, RGB, 0 to 255, float32 (3, H, W)"""
    classes: tuple[tuple[str, str], ...]
    """(folder name, readable name) of each class, by index"""
    subtracted: Literal["image", "channel", "none"] = "image"
    """what is subtracted: the mean image, its mean per channel, or nothing (normalize.mean)"""
    std: tuple[float, float, float] | None = None
    """what each channel is divided by (normalize.std)"""

    @property
    def folders(self) -> tuple[str, ...]:
        """The folder name of each class, by index."""
        return tuple(folder for folder, _ in self.classes)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A training between two iterations. Random choices follow from seed and position, so no RNG state is saved."""

    identity: Identity
    preparation: Preparation
    seed: int
    epoch: int
    """completed epochs"""
    total_batch_size: int
    """images of an iteration over all workers"""
    iteration: int
    """completed iterations of the current epoch; if all are completed, its validation is still to be done"""
    val_record: Tensor
    """validation top-1 error and loss of each completed epoch, float64 (epochs, 2)"""
    parameters: dict[str, Tensor]
    """the model's state_dict, on the CPU"""
    momentum: dict[str, Tensor]
    rollbacks: int = 0
    """times the training returned to a checkpoint (run.on_nan); the order of images depends on it"""
    optimizer: str = "sgd"
    """the update rule (optimizer.name), whose state momentum and slots are"""
    updates: int = 0
    """updates made so far; 0 in older checkpoints, whose optimizer does not count them"""
    slots: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    """what the optimizer keeps besides momentum, by the names of ``FlatParameters.slots`` and of parameters"""
    other_state: dict[str, dict[str, Any]] = field(default_factory=dict)
    """what an optimizer of torch.optim keeps, by the names of parameters"""
    order: str = ""
    """what determines the order of training images besides seed and rollbacks; empty in older checkpoints"""

    @property
    def name(self) -> str:
        return f"epoch{self.epoch:03d}_iter{self.iteration:05d}.pt"


def write(file: BinaryIO, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint`` to a file that is open for reading and writing. Raises OSError or RuntimeError."""
    torch.save(to_dict(checkpoint), file)
    append_checksum(file)


def to_dict(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the content of a checkpoint's file."""
    identity = vars(checkpoint.identity) | {"variant": vars(checkpoint.identity.variant)}
    nested = {"identity": identity, "preparation": vars(checkpoint.preparation)}
    return {"format": FORMAT, **vars(checkpoint), **nested}


def load(path: Path) -> Checkpoint:
    """Read a checkpoint of this or an older format.

    Raises CheckpointError if the file is missing, damaged in any byte, not a checkpoint, of an unknown format, or if
    its parts contradict each other or hold numbers that are not finite.
    """
    try:
        intact = verify_checksum(path)
        state: Any = load_tensors(path) if intact else None
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}") from None
    except Exception as error:  # a damaged file can make torch.load raise almost anything
        raise _damaged(path, first_line(error)) from None
    if not intact:
        raise _damaged(path, "its checksum is wrong")
    version = state.get("format") if isinstance(state, dict) else None
    if not isinstance(version, int):
        raise CheckpointError(f"{path} is not a checkpoint of this program; name another file")
    if version not in (*RENAMED_KEYS, FORMAT):
        readable = ", ".join(map(str, (*RENAMED_KEYS, FORMAT)))
        raise CheckpointError(f"{path} has format {version}, but this version of the program reads {readable} only")
    renamed = RENAMED_KEYS.get(version, {})
    try:
        saved = msgspec.convert({renamed.get(key, key): value for key, value in state.items()}, Checkpoint)
    except msgspec.ValidationError as error:
        raise _damaged(path, f"a value has the wrong type: {error}") from None
    if flaw := _flaw(saved):
        raise _damaged(path, flaw)
    return saved


def _flaw(saved: Checkpoint) -> str:
    """Return why a checkpoint cannot be used, whatever the network is, or an empty text."""
    identity, preparation = saved.identity, saved.preparation
    counts = (saved.epoch, saved.iteration, saved.rollbacks, saved.total_batch_size, saved.seed, saved.updates)
    if not all(0 <= count < 2**63 for count in counts) or saved.val_record.shape != (saved.epoch, 2):
        return "its counts of epochs and iterations are inconsistent"
    if preparation.mean.shape != (3, identity.img_size, identity.img_size):
        return "its mean image has another size than its images"
    if len(preparation.classes) != identity.n_classes:
        return f"it names {len(preparation.classes)} classes, but has {identity.n_classes}"
    if preparation.std and not all(0 < value < math.inf for value in preparation.std):
        return "its std is not positive"
    return _tensor_flaw(saved) or _other_flaw(saved)


def _other_flaw(saved: Checkpoint) -> str:
    """Return why the state of an optimizer of torch.optim cannot be used, or an empty text."""
    for name, values in saved.other_state.items():
        if name not in saved.parameters:
            return "it has state of unknown parameters"
        for what, value in values.items():
            if isinstance(value, Tensor) and (flaw := tensor_flaw(value)):
                return f"its {what} of {name} {flaw}"
    return ""


def _tensor_flaw(saved: Checkpoint) -> str:
    """Return why a tensor of a checkpoint cannot be used, or an empty text."""
    state: dict[str, Tensor] = {}
    for what, tensors in {"momentum": saved.momentum, **saved.slots}.items():
        if any(name not in saved.parameters for name in tensors):
            return f"it has {what} of unknown parameters"
        if any(value.shape != saved.parameters[name].shape for name, value in tensors.items()):
            return f"its {what} has other shapes than its parameters"
        state |= {f"{what} of {name}": value for name, value in tensors.items()}
    if any((value < 0).any() for value in saved.slots.get("second_moment", {}).values()):
        return "its second moment is negative"
    others = {"mean image": saved.preparation.mean, "validation record": saved.val_record}
    for name, tensor in (others | saved.parameters | state).items():
        must_be_float32 = name in state or (tensor.is_floating_point() and tensor is not saved.val_record)
        if must_be_float32 and tensor.dtype != torch.float32:
            return f"its {name} has {tensor.dtype} numbers instead of torch.float32"
        if flaw := tensor_flaw(tensor):
            return f"its {name} {flaw}"
    return ""


def may_be_checkpoint(path: Path) -> bool:
    """Return whether ``path`` is a checkpoint of this program in any format, or might be one that is damaged."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return False
    try:
        state: Any = load_tensors(path, mmap=True)
    except Exception:  # a damaged file can make torch.load raise almost anything
        return True
    return isinstance(state, dict) and "format" in state


_OTHER_RUN = "give this run another --run.weights_dir, or start anew with --run.resume never"


def check_identity(path: Path, found: Identity, expected: Identity, fix: str = _OTHER_RUN) -> None:
    """Raise CheckpointError, which ends in ``fix``, if the checkpoint at ``path`` is of another training."""
    for what, theirs, ours in (
        ("network", found.model, expected.model),
        ("network", str(found.variant) or "as published", str(expected.variant) or "as published"),
        ("number of classes", found.n_classes, expected.n_classes),
        ("image size", found.img_size, expected.img_size),
        ("data set (fingerprint)", found.data_fingerprint, expected.data_fingerprint),
    ):
        if theirs != ours:
            raise CheckpointError(f"{path} belongs to another {what}: {theirs}, here it is {ours}; {fix}")


def check_preparation(path: Path, found: Preparation, expected: Preparation) -> None:
    """Raise CheckpointError if the checkpoint's network was trained on inputs with another mean or scale."""
    for key, theirs, ours in (
        ("normalize.mean", found.subtracted, expected.subtracted),
        ("normalize.std", found.std and list(found.std), expected.std and list(expected.std)),
    ):
        if theirs != ours:
            raise CheckpointError(
                f"{path} was trained with {key} {theirs or 'null'}, here it is {ours or 'null'}; "
                f"add --{key} '{theirs or 'null'}'"
            )


def check_optimizer(path: Path, found: str, expected: str) -> None:
    """Raise CheckpointError if the checkpoint's momentum is that of another optimizer."""
    if found != expected:
        raise CheckpointError(
            f"{path} holds the state of optimizer.name {found}, here it is {expected}; add --optimizer.name {found}, "
            f"or begin anew from its weights: --model.weights {path} and another --run.weights_dir"
        )


def _damaged(path: Path, why: str) -> CheckpointError:
    others = sorted(path.parent.glob("epoch*_iter*.pt"), key=lambda other: other.stat().st_mtime_ns)
    names = [str(other) for other in others if other != path]
    return CheckpointError(
        f"{path} is damaged or not a checkpoint ({why}); use another one{f', such as {names[-1]}' if names else ''}"
    )
