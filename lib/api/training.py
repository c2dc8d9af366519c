"""Start a training from Python."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..system.npy import from_npy_bytes
from ..system.python_module import module_command, module_environment
from .network import Network, open
from .settings import Settings, StrPath, arguments, read_config


@dataclass(frozen=True)
class Run(os.PathLike[str]):
    """A training on disk."""

    folder: Path

    def __fspath__(self) -> str:
        return str(self.folder)

    @property
    def errors(self) -> NDArray[np.float64]:
        """The top-1 validation error after each epoch, 0 to 1."""
        return self._record()[:, 0]

    @property
    def losses(self) -> NDArray[np.float64]:
        """The validation loss after each epoch."""
        return self._record()[:, 1]

    @property
    def best_epoch(self) -> int:
        """The epoch with the least validation error, counted from 1."""
        return int(self.errors.argmin()) + 1

    def network(self, device: str = "auto") -> Network:
        """Return the network of the best epoch. Raises WeightsError if there is no checkpoint."""
        return open(self.folder, device=device)

    def _record(self) -> NDArray[np.float64]:
        return np.asarray(from_npy_bytes((self.folder / "val_record.npy").read_bytes()))


def train(settings: Settings | None = None, *, config: StrPath | None = None, workers: int = 1) -> Run:
    """Train, or continue a training, and return it when it has ended. What ``train.py`` prints is printed.

    ``settings`` are the keys of ``train.py --help`` with their values, ``config`` a YAML file of them, which they
    override; ``workers`` is 1, 2, 4 or 8 with settings of its own. The training runs in processes of its own, so it can
    be started from any thread, any number of times, and leaves this process as it is. KeyboardInterrupt, which Ctrl-C
    and the stop button of a notebook raise, asks it to save a checkpoint and end; then it is raised again, and the same
    call continues the training. Raises UserError for an error that the user can fix, and RuntimeError if the training
    fails otherwise.
    """
    options = arguments(settings, config=config, workers=workers)
    run = Run(read_config(options).run.weights_dir.absolute())
    status, interrupted, error = _run([*module_command("api.training_process"), str(os.getpid()), "train", *options])
    if interrupted:
        raise KeyboardInterrupt
    if status:
        message = error or f"the training ended with status {status}"
        raise UserError(message) if status == 2 else RuntimeError(message)
    return run


def _run(words: list[str]) -> tuple[int, bool, str]:
    """Run a command, and print what it prints. Return its exit status, whether it was interrupted, and its error."""
    errors: list[str] = []
    with subprocess.Popen(
        words,
        env=module_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        # Ctrl-C and notebooks signal whole process groups, but this function passes the signal on.
        start_new_session=True,
    ) as child:
        reader = Thread(target=_copy, args=(child.stderr, sys.stderr, errors), daemon=True)
        reader.start()
        try:
            interrupted = _wait(child)
        finally:
            if child.poll() is None:  # an error of this function: the training saves what it has
                child.terminate()
            child.wait()
            reader.join()
    text = next((line for line in reversed(errors) if line.startswith("error: ")), "".join(errors[-1:]))
    return child.returncode, interrupted, text.removeprefix("error: ").strip()


def _wait(child: subprocess.Popen[str]) -> bool:
    """Print what the training prints until it ends. Return whether it was interrupted."""
    assert child.stdout
    interrupted = False
    while True:
        try:
            _copy(child.stdout, sys.stdout, [])
            child.wait()
        except KeyboardInterrupt:
            interrupted = True
            child.send_signal(signal.SIGINT)
        else:
            return interrupted


def _copy(lines: IO[str], stream: IO[str], copied: list[str]) -> None:
    for line in lines:
        copied.append(line)
        print(line, end="", file=stream, flush=True)
