"""Whether to compile a network with torch.compile, and how long that took the last time."""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from ..config.schema import ComputeConfig

# Compiling saves about 30 % of a step. It took 15 to 140 s the first time, 5 to 40 s from torch's cache: so many
# iterations of 5 to 20 ms win that back.
_WORTH_IT, _WORTH_IT_CACHED = 10_000, 4_000


@dataclass(kw_only=True)
class Compilation:
    """The decision for one network; ``note`` says it in a few words."""

    compiled: bool
    note: str
    record: Path
    spent_s: float = 0.0
    """how long all blocks of ``timed`` took"""

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Remember how long the block took together with those before it, if the network is compiled."""
        start = time.monotonic()
        yield
        self.spent_s += time.monotonic() - start
        if self.compiled:
            with suppress(OSError):  # what cannot be remembered is only slower to know
                self.record.parent.mkdir(parents=True, exist_ok=True)
                self.record.write_text(f"{self.spent_s:.0f}", encoding="utf-8")


def decide(compute: ComputeConfig, network: str, iterations: int) -> Compilation:
    """Return whether ``compute`` has ``network`` compiled for a training of that many iterations.

    ``network`` names all that the compiled code depends on: layers, sizes, dtype and device.
    """
    mode = compute.compile
    record = _cache_folder() / f"network_{hashlib.sha256(f'{torch.__version__} {network}'.encode()).hexdigest()[:16]}"
    try:
        cached = f"compiled, {int(record.read_text(encoding='utf-8'))} s the last time"
    except (OSError, ValueError):
        cached = ""
    worth_it = iterations >= (_WORTH_IT_CACHED if cached else _WORTH_IT)
    if compute.deterministic:  # the compiler times variants and takes the fastest: not the same ones in each run
        compiled, note = False, "not compiled (compute.deterministic)"
    elif mode == "always" or (mode == "auto" and worth_it):
        compiled, note = True, cached or "compiled at the first iteration, which may take minutes"
    else:
        compiled, note = False, "not compiled" + (" for so few iterations (compute.compile)" if mode == "auto" else "")
    return Compilation(compiled=compiled, note=note, record=record)


def _cache_folder() -> Path:
    """Return the folder in which torch keeps compiled code: TORCHINDUCTOR_CACHE_DIR, or its default."""
    default = Path(tempfile.gettempdir()) / f"torchinductor_{os.environ.get('USER', os.getuid())}"
    return Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR") or default)
