"""What is about to be trained, on what: the block of lines that a run begins with, and the facts that it keeps."""

from typing import Any

import torch
from torch import nn

from lib.config.dump import dotted, plain
from lib.config.schema import Config, ExchangeConfig
from lib.data.dataset import DataSet
from lib.data.plan import Plan
from lib.models.registry import model_spec
from lib.roles.builders import all_devices
from lib.system.devices import describe
from lib.training.periodic_sync import moving_rate
from lib.training.replica import Replica


def run_summary(config: Config, data: DataSet, replica: Replica, dtype: torch.dtype) -> str:
    """A few lines for people."""
    names = ", ".join(map(describe, all_devices(config)))
    batch = f"batch {config.batch_size} each, {config.batch_size * config.world_size} in all; "
    batch = batch if config.world_size > 1 else f"batch {config.batch_size}; "
    exchange = _exchange(config.exchange, config.world_size) if config.world_size > 1 else config.exchange.method
    rows = (
        (
            "data",
            f"{data.where}: {data.count('train'):,} training and {data.count('val'):,} validation "
            f"images of {data.n_classes} classes, {data.img_size} x {data.img_size}",
        ),
        (
            "network",
            f"{config.model.name}, {n_parameters(replica.model):,} parameters, crop {replica.crop}, "
            f"computing in {str(dtype).removeprefix('torch.')}"
            + ("" if replica.why_plain else " with kernels of its own"),
        ),
        ("devices", f"{names}; {batch}exchange {exchange}"),
        ("recipe", _recipe(config)),
        ("run", f"{config.run.weights_dir}, {pluralize(config.run.n_epochs, 'epoch')}, seed {config.run.seed}"),
        ("report", f"{config.run.weights_dir / 'report.html'}" if config.logging.report else "none"),
    )
    return "\n".join(f"{name + ':':<9} {text}" for name, text in rows)


def _exchange(config: ExchangeConfig, world_size: int) -> str:
    """How replicas exchange what, and when."""
    what = f"{config.method} of {config.averaged}"
    if config.rule == "elastic":
        what = f"{config.method}, elastic with moving rate {moving_rate(config, world_size):g}"
    return what + (f" every {config.every} iterations" if config.every > 1 else "")


def _recipe(config: Config) -> str:
    """Whose recipe it is, and what is done otherwise here."""
    recipe = model_spec(config.model.name).recipe
    images = config.images_per_update
    changed = [
        f"{key} {plain(here)} (there {plain(there)})"
        for key, (here, there) in recipe.overridden(dict(dotted(config)), images).items()
    ]
    return f"{recipe.source}, for {recipe.describe_images(images)}" + "".join(f"; here {change}" for change in changed)


def facts(config: Config, model: nn.Module, plan: Plan) -> dict[str, Any]:
    """What ``environment.json`` keeps of a run, besides the machine."""
    command = config.run.weights_dir / "command.txt"
    return {
        "command": command.read_text(encoding="utf-8").strip() if command.is_file() else "",
        "devices": [describe(device) for device in all_devices(config)],
        "parameters": n_parameters(model),
        "iterations": plan.train.iterations,
    }


def pluralize(count: int, noun: str) -> str:
    """Return ``count`` with its noun, in the plural unless it is one.

    >>> pluralize(1, "epoch"), pluralize(90, "epoch")
    ('1 epoch', '90 epochs')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def n_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
