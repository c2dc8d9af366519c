"""Kernels in Triton's interpreter, from several threads."""

from collections.abc import Callable
from threading import Lock
from typing import Any

import pytest

from lib.exchange import device_peer
from lib.kernels import adaptive, lookahead, rectifier, sgd
from lib.training import captured_step, fused_split


def interpret_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one thread at a time run a kernel: Triton's interpreter replaces what all of them see."""
    lock = Lock()

    def locked(kernel: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            with lock:
                return kernel(*arguments, **options)

        return run

    for module, names in (
        (captured_step, ("transform_to_blocks", "cross_entropy", "accumulate")),
        (sgd, ("update", "apply")),
        (adaptive, ("update", "apply")),
        (lookahead, ("merge",)),
        (device_peer, ("mean",)),
        (rectifier, ("relu_gradient",)),
        (fused_split, ("column_sums", "keyed_dropout")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, locked(getattr(module, name)))
