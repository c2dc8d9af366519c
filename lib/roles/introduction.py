"""What is about to be trained, on what: the block of lines that a run begins with, and the facts that it keeps."""

from typing import Any

import torch
from torch import nn

from lib.config import Config
from lib.data.layout import Manifest
from lib.data.plan import Plan
from lib.devices import describe
from lib.roles.setup import all_devices


def introduction(config: Config, manifest: Manifest, model: nn.Module, crop: int, dtype: torch.dtype) -> str:
    """A few lines for people."""
    names = ", ".join(map(describe, all_devices(config)))
    batch = f"batch {config.batch_size} each, {config.batch_size * config.world_size} in all; "
    batch = batch if config.world_size > 1 else f"batch {config.batch_size}; "
    rows = (
        (
            "data",
            f"{config.data.dir}: {manifest.train.count:,} training and {manifest.val.count:,} validation "
            f"images of {manifest.n_classes} classes, {manifest.img_size} x {manifest.img_size}",
        ),
        (
            "network",
            f"{config.model.name}, {n_parameters(model):,} parameters, crop {crop}, "
            f"computing in {str(dtype).removeprefix('torch.')}",
        ),
        ("devices", f"{names}; {batch}exchange {config.exchange.method}"),
        ("run", f"{config.run.weights_dir}, {config.run.n_epochs} epochs, seed {config.run.seed}"),
    )
    return "\n".join(f"{name + ':':<9} {text}" for name, text in rows)


def facts(config: Config, model: nn.Module, plan: Plan) -> dict[str, Any]:
    """What ``environment.json`` keeps of a run, besides the machine."""
    command = config.run.weights_dir / "command.txt"
    return {
        "command": command.read_text(encoding="utf-8").strip() if command.is_file() else "",
        "devices": [describe(device) for device in all_devices(config)],
        "parameters": n_parameters(model),
        "iterations": plan.train.iterations,
    }


def n_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
