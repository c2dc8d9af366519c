"""A package called torchvision that publishes random weights in a folder, as the real one does on a server."""

import enum
import hashlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor

from lib.models.registry import MODELS

N_CLASSES = 1000


def publish(folder: Path, monkeypatch: pytest.MonkeyPatch, network: str, theirs: str) -> dict[str, Tensor]:
    """Publish random weights of ``network`` under torchvision's name for it, and return them.

    They are fetched into ``folder``/home.
    """
    state: dict[str, Tensor] = MODELS[network].build(N_CLASSES, 64).state_dict()
    torch.save(state, folder / "weights.pth")
    checksum = hashlib.sha256((folder / "weights.pth").read_bytes()).hexdigest()[:8]
    file = (folder / "weights.pth").rename(folder / f"{theirs}-{checksum}.pth")
    categories = [f"kind {number}" for number in range(N_CLASSES)]
    published = SimpleNamespace(url=file.as_uri(), meta={"categories": categories})

    class Weights(enum.Enum):
        IMAGENET1K_V1 = published
        DEFAULT = published

        @property
        def url(self) -> str:
            return str(self.value.url)

        @property
        def meta(self) -> dict[str, list[str]]:
            return dict(self.value.meta)

    package, models = ModuleType("torchvision"), ModuleType("torchvision.models")
    models.get_model_weights = lambda name: {theirs: Weights}[name]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    monkeypatch.setenv("TORCH_HOME", str(folder / "home"))
    return state
