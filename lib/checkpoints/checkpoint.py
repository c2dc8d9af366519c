"""Checkpoints: plain tensors, written aside and renamed into place, with pointers to the latest and the best.

    checkpoints/epoch003_iter00000.pt     a dict that torch.load(weights_only=True) opens
    checkpoints/latest, best              text: the name of a file beside them

A power cut at any moment leaves the previous checkpoint whole: a file gets its name only once its bytes are on
the disk, and a pointer moves only once its file has its name. A checksum inside tells a damaged file from a whole one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec
import torch
from torch import Tensor

from lib.checkpoints.zip_checksum import is_whole, seal
from lib.errors import CheckpointError, first_line
from lib.system.atomic_write import atomic_write, make_folder, remove_partials
from lib.system.disk import free_bytes

FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a checkpoint must share with the run that would use it."""

    model: str
    n_classes: int
    img_size: int
    data_fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How a picture becomes the network's input, and what its classes are called: enough to classify with."""

    resize: Literal["squash", "crop"]
    """how pictures were made square"""
    mean: Tensor
    """float32 (3, H, W), 0 to 255, RGB: the mean image"""
    classes: tuple[tuple[str, str], ...]
    """(folder name, name for people) of each class, by index"""
    subtracted: Literal["image", "channel", "none"] = "image"
    """of ``mean``: as normalize.mean says"""
    std: tuple[float, float, float] | None = None
    """what is divided by: normalize.std"""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A training between two iterations. Everything random follows from seed and position, so that is all."""

    identity: Identity
    preparation: Preparation
    seed: int
    epoch: int
    """epochs done"""
    total_batch_size: int
    """images that all workers together take in an iteration: what ``iteration`` counts"""
    iteration: int
    """iterations done of the epoch in hand; all of them: its validation is still to come"""
    val_record: Tensor
    """(epochs, 2) float64: validation top-1 error and loss of each epoch done"""
    parameters: dict[str, Tensor]
    """the model's state_dict, on the CPU"""
    momentum: dict[str, Tensor]
    rollbacks: int = 0
    """how often the training went back to a checkpoint (run.on_nan): its order follows from it"""
    order: str = ""
    """what decides the order of the training images, besides seed and rollbacks; older ones do not say"""

    @property
    def name(self) -> str:
        return f"epoch{self.epoch:03d}_iter{self.iteration:05d}.pt"


class CheckpointFolder:
    """The checkpoints of one run."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder, self._keep = folder, keep

    def save(self, checkpoint: Checkpoint, written: Callable[[], Any] = lambda: None, *, is_best: bool) -> Path:
        """Write it, point (``best`` and) ``latest`` at it, and delete what need not be kept.

        ``written`` is called whenever more of it is on the disk.
        Raises CheckpointError when the disk does not take it; what was there before stays.
        """
        path = self._folder / checkpoint.name
        try:
            make_folder(self._folder)
            atomic_write(path, lambda file: _fill(file, checkpoint), written)
            # Best first: a run that goes on from ``latest`` would not see again that this one is.
            for pointer in ("best", "latest") if is_best else ("latest",):
                atomic_write(self._folder / pointer, lambda file: file.write(path.name.encode()))
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError, in words of its own
            reason = error.strerror if isinstance(error, OSError) else "the disk did not take all of it"
            raise CheckpointError(
                f"cannot save {path}: {reason} ({free_bytes(path) / 1e9:.2f} GB free); make room and start "
                "again, it goes on from the checkpoint before"
            ) from error
        self._prune(path)
        return path

    def require_room(self, n_bytes: int) -> None:
        """Raises CheckpointError where not even one more of ``n_bytes`` fits, or the folder cannot be written.

        Nothing is left there: it may be another run's, and this one still be refused.
        """
        probe = (self._folder if self._folder.is_dir() else self._folder.parent) / "probe"
        try:
            atomic_write(probe, lambda file: file.write(b"probe"))
            probe.unlink()
        except OSError as error:
            raise CheckpointError(
                f"{self._folder} cannot be written: {error.strerror}; mend that, or name another --run.weights_dir"
            ) from None
        if free_bytes(self._folder) < n_bytes:
            raise CheckpointError(f"{self._room(n_bytes)}; make room, or name another --run.weights_dir")

    def advice_on_room(self, n_bytes: int) -> str:
        """What to tell where not all that is to be kept will fit, at ``n_bytes`` a checkpoint."""
        # The newest, the best, and the one that is being written.
        wanted = self._keep + 2 - len(list(self._folder.glob("epoch*_iter*.pt")))
        if free_bytes(self._folder) >= wanted * n_bytes:
            return ""
        return f"{self._room(n_bytes)}, and {wanted} may be wanted (run.keep {self._keep}): make room"

    def _room(self, n_bytes: int) -> str:
        fits = free_bytes(self._folder) // n_bytes
        return f"{self._folder} has room for {fits} more checkpoints of {n_bytes / 1e9:.3f} GB"

    def latest(self) -> Path | None:
        """The newest checkpoint, or None where there is none. Raises CheckpointError when its file is gone."""
        return self._pointed("latest", "another checkpoint with --run.resume, or start anew with --run.resume never")

    def best(self) -> Path | None:
        """The one with the lowest validation error; as ``latest``."""
        return self._pointed("best", "another checkpoint with --checkpoint")

    def _pointed(self, pointer: str, fix: str) -> Path | None:
        path = self._target(pointer)
        if path and not path.is_file():
            raise CheckpointError(f"{self._folder / pointer} points at {path.name}, which is missing; name {fix}")
        return path

    def _target(self, pointer: str) -> Path | None:
        """What it points at, there or not."""
        try:
            return self._folder / (self._folder / pointer).read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return None

    def _prune(self, newest: Path) -> None:
        best = self._target("best")  # which somebody may have taken away: no reason to keep no checkpoint any more
        others = sorted(self._folder.glob("epoch*_iter*.pt"), key=lambda path: path.stat().st_mtime_ns)
        others = [path for path in others if path not in (newest, best)]
        for path in others[: max(0, len(others) - (self._keep - 1))]:
            path.unlink()
        remove_partials(self._folder)


def load(path: Path) -> Checkpoint:
    """Raises CheckpointError when the file is missing, damaged (any byte of it), or not one of ours."""
    try:
        whole = is_whole(path)
        state: Any = torch.load(path, map_location="cpu", weights_only=True) if whole else None
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}") from None
    except Exception as error:
        raise _damaged(path, first_line(error)) from None
    if not whole:
        raise _damaged(path, "its checksum is wrong")
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of format {FORMAT} of this program")
    try:
        saved = msgspec.convert(state, Checkpoint)
    except msgspec.ValidationError as error:
        raise _damaged(path, f"a part of it is not what it should be: {error}") from None
    if min(saved.epoch, saved.iteration, saved.rollbacks) < 0 or saved.val_record.numel() != 2 * saved.epoch:
        raise _damaged(path, "its counts of epochs and iterations cannot be")
    return saved


def is_checkpoint(path: Path) -> bool:
    """Whether ``path`` is a checkpoint of this program, of whatever format. Only looks at its outline."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # anything but one of ours may raise nearly anything
        return False
    return isinstance(state, dict) and "format" in state


def best_of_run(folder: Path) -> Path | None:
    """The best checkpoint of the run in ``folder``, or else its latest; None where that is no run's folder."""
    if not folder.is_dir():
        return None
    cached = CheckpointFolder(folder / "checkpoints", keep=1)
    return cached.best() or cached.latest()


# What a run can do that finds another's checkpoint in its folder.
_APART = "give this run another --run.weights_dir, or start anew with --run.resume never"


def refuse_other(path: Path, found: Identity, wanted: Identity, fix: str = _APART) -> None:
    """Raises CheckpointError that says how the checkpoint at ``path`` differs from what is to be trained."""
    for what, theirs, ours in (
        ("network", found.model, wanted.model),
        ("number of classes", found.n_classes, wanted.n_classes),
        ("image size", found.img_size, wanted.img_size),
        ("data set (fingerprint)", found.data_fingerprint, wanted.data_fingerprint),
    ):
        if theirs != ours:
            raise CheckpointError(f"{path} belongs to another {what}: {theirs}, here it is {ours}; {fix}")


def refuse_other_preparation(path: Path, found: Preparation, wanted: Preparation) -> None:
    """Raises CheckpointError when the checkpoint's network was fed pictures on another scale than is wanted here."""
    for key, theirs, ours in (
        ("normalize.mean", found.subtracted, wanted.subtracted),
        ("normalize.std", found.std and list(found.std), wanted.std and list(wanted.std)),
    ):
        if theirs != ours:
            raise CheckpointError(
                f"{path} was trained with {key} {theirs or 'null'}, here it is {ours or 'null'}; "
                f"add --{key} '{theirs or 'null'}'"
            )


def _damaged(path: Path, why: str) -> CheckpointError:
    others = sorted(path.parent.glob("epoch*_iter*.pt"), key=lambda other: other.stat().st_mtime_ns)
    names = [str(other) for other in others if other != path]
    return CheckpointError(
        f"{path} is damaged or no checkpoint ({why}); use another one{f', such as {names[-1]}' if names else ''}"
    )


def _fill(file: BinaryIO, checkpoint: Checkpoint) -> None:
    torch.save(_to_dict(checkpoint), file)
    seal(file)


def _to_dict(checkpoint: Checkpoint) -> dict[str, Any]:
    parts = {"identity": vars(checkpoint.identity), "preparation": vars(checkpoint.preparation)}
    return {"format": FORMAT, **vars(checkpoint), **parts}
