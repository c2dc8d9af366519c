"""The checkpoints of a run, with pointers to the latest and the best.

    checkpoints/epoch003_iter00000.pt     see ``lib.checkpoints.checkpoint``
    checkpoints/latest, best              text: the name of a file in this folder

A power failure at any moment leaves the previous checkpoint intact: a file is renamed into place only after its bytes
are on disk, and a pointer moves only after its file is in place.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..system.atomic_write import atomic_write, make_folder, remove_partials
from ..system.disk import free_bytes
from .checkpoint import Checkpoint, write


class CheckpointFolder:
    """The checkpoints of one run: ``keep`` recent ones and the best."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder, self._keep = folder, keep

    def save(
        self,
        checkpoint: Checkpoint,
        on_progress: Callable[[], Any] = lambda: None,
        *,
        is_best: bool,
        base_epoch: int | None = None,
    ) -> Path:
        """Write ``checkpoint``, point ``latest`` (and ``best``) at it, and delete old checkpoints.

        The ``base`` of ``base_epoch`` is kept, if that is not None. ``on_progress`` is called whenever another part of
        the file is on disk. Raises CheckpointError if the file cannot be written; earlier checkpoints then stay.
        """
        path = self._folder / checkpoint.name
        try:
            make_folder(self._folder)
            atomic_write(path, lambda file: write(file, checkpoint), on_progress)
            # "best" moves first: a run that resumes from "latest" would not learn again that it is the best.
            for pointer in ("best", "latest") if is_best else ("latest",):
                atomic_write(self._folder / pointer, lambda file: file.write(path.name.encode()))
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            reason = error.strerror if isinstance(error, OSError) else "the disk did not take all of it"
            raise CheckpointError(
                f"cannot save {path}: {reason} ({free_bytes(path) / 1e9:.2f} GB free); make room and start "
                "again: the run resumes from the previous checkpoint"
            ) from error
        base = None if base_epoch is None else self.base(base_epoch, (checkpoint.epoch, checkpoint.iteration))
        self._prune(path, self._target("best"), base)
        return path

    def require_space(self, n_bytes: int) -> None:
        """Raise CheckpointError if the disk has less than ``n_bytes`` free or the folder is not writable.

        Leaves no file or folder: the folder may belong to another run, and this run may still be refused.
        """
        probe = (self._folder if self._folder.is_dir() else self._folder.parent) / "probe"
        try:
            atomic_write(probe, lambda file: file.write(b"probe"))
            probe.unlink()
        except OSError as error:
            raise CheckpointError(
                f"cannot write to {self._folder}: {error.strerror}; make it writable, or use another --run.weights_dir"
            ) from None
        if free_bytes(self._folder) < n_bytes:
            raise CheckpointError(f"{self._space(n_bytes)}; make room, or use another --run.weights_dir")

    def space_warning(self, n_bytes: int) -> str:
        """Return a warning if the disk is too small for all checkpoints of ``n_bytes`` that will be kept, or ""."""
        # The newest, the best, and the one being written.
        n_more = self._keep + 2 - len(list(self._folder.glob("epoch*_iter*.pt")))
        if free_bytes(self._folder) >= n_more * n_bytes:
            return ""
        return f"{self._space(n_bytes)}, but may need {n_more} (run.keep {self._keep}): make room"

    def _space(self, n_bytes: int) -> str:
        n_fit = free_bytes(self._folder) // n_bytes
        return f"{self._folder} has room for {n_fit} more checkpoints of {n_bytes / 1e9:.3f} GB"

    def latest(self) -> Path | None:
        """Return the newest checkpoint, or None if there is none.

        Raises CheckpointError if its file is missing, or if there are checkpoints but nothing says which is the newest.
        """
        fix = "another checkpoint with --run.resume, or start anew with --run.resume never"
        path, found = self._resolve("latest", fix), sorted(self._folder.glob("epoch*_iter*.pt"))
        if path or len(found) < 2:  # the pointer to the very first checkpoint may not be written yet
            return path or next(iter(found), None)
        raise CheckpointError(
            f"{self._folder} holds {len(found)} checkpoints, but no file latest that names the newest; name {fix} "
            f"(the last by name: {found[-1]})"
        )

    def best(self) -> Path | None:
        """Return the checkpoint with the lowest validation error, like ``latest``."""
        return self._resolve("best", "another checkpoint with --checkpoint")

    def base(self, epoch: int, position: tuple[int, int]) -> Path | None:
        """Return the earliest checkpoint from the start of ``epoch`` to ``position`` (epoch, iteration), or None."""
        found = {path: _position(path) for path in self._folder.glob("epoch*_iter*.pt")}
        between = [path for path, at in found.items() if at and (epoch, 0) <= at <= position]
        return min(between, key=lambda path: found[path] or position, default=None)

    def _resolve(self, pointer: str, fix: str) -> Path | None:
        path = self._target(pointer)
        if path and not path.is_file():
            raise CheckpointError(f"{self._folder / pointer} points at {path.name}, which is missing; name {fix}")
        return path

    def _target(self, pointer: str) -> Path | None:
        """Return the path that ``pointer`` contains, whether or not the file exists."""
        try:
            return self._folder / (self._folder / pointer).read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return None

    def _prune(self, *kept: Path | None) -> None:
        others = sorted(self._folder.glob("epoch*_iter*.pt"), key=lambda path: path.stat().st_mtime_ns)
        others = [path for path in others if path not in kept]
        for path in others[: max(0, len(others) - (self._keep - 1))]:
            path.unlink()
        remove_partials(self._folder)


def _position(path: Path) -> tuple[int, int] | None:
    """Return epoch and iteration in the name of a checkpoint.

    >>> _position(Path("epoch012_iter00345.pt")), _position(Path("epoch_of_mine_iter.pt"))
    ((12, 345), None)
    """
    match = re.fullmatch(r"epoch(\d+)_iter(\d+)\.pt", path.name)
    return (int(match[1]), int(match[2])) if match else None


def best_of_run(folder: Path) -> Path | None:
    """Return the best or else the latest checkpoint of the run in ``folder``, or None if it is not a run's folder."""
    if not folder.is_dir():
        return None
    checkpoints = CheckpointFolder(folder / "checkpoints", keep=1)
    return checkpoints.best() or checkpoints.latest()
