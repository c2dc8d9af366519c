"""The summary that a run prints at its start, and what it records about itself."""

from typing import Any

import torch

from ..config.dump import dotted, plain, to_yaml
from ..config.schema import Config, ExchangeConfig
from ..data.dataset import DataSet
from ..data.plan import Plan
from ..models.registry import model_spec
from ..runtime.process import Context
from ..system.cpus import has_bfloat16
from ..system.devices import describe
from ..training.periodic_sync import moving_rate
from ..training.replica import Replica
from .builders import all_devices

# With so few iterations an epoch hardly changes the weights.
_FEW = 10


def run_summary(config: Config, data: DataSet, replica: Replica, dtype: torch.dtype, iterations: int) -> str:
    """Return a few lines about data, network, devices, recipe and folder. An epoch has this many ``iterations``."""
    names = ", ".join(map(describe, all_devices(config)))
    threads = f"; {pluralize(config.compute.threads, 'CPU thread')} each" if "cpu" in names else ""
    batch = f"batch {config.batch_size}"
    if config.world_size > 1:
        batch += f" each, {config.batch_size * config.world_size} in total"
    network = ", ".join(filter(None, [config.model.name, str(config.model.variant)]))
    recipe, images = model_spec(config.model.name).chosen_recipe(config.model.recipe), config.images_per_update
    overridden = recipe.overridden(dict(dotted(config)), images)
    changes = [f"; {key} {plain(value)} instead of {plain(default)}" for key, (value, default) in overridden.items()]
    length = f"{pluralize(config.run.n_epochs, 'epoch')} of {pluralize(iterations, 'iteration')}"
    cut = config.run.limit_batches or config.run.overfit_batches
    advice = " (a lower batch_size makes more)" if iterations < _FEW and not cut else ""
    faster = ""
    if replica.device.type == "cpu" and config.compute.precision == "auto" and has_bfloat16():
        faster = " (--compute.precision bf16 may be faster on this CPU)"
    rows = (
        (
            "data",
            f"{data.where}: {data.count('train'):,} training and {data.count('val'):,} validation "
            f"images of {data.n_classes} classes, {data.img_size} x {data.img_size}",
        ),
        (
            "network",
            f"{network}, {replica.state.n_parameters:,} parameters, crop {replica.crop}, "
            f"computed in {str(dtype).removeprefix('torch.')}{faster}, {replica.note}",
        ),
        ("devices", f"{names}; {batch}; exchange {_exchange(config.exchange, config.world_size)}{threads}"),
        ("recipe", f"{recipe.source}, for {recipe.describe_images(images)}{''.join(changes)}"),
        ("run", f"{config.run.weights_dir}, {length}{advice}, seed {config.run.seed}"),
        ("report", f"{config.run.weights_dir / 'report.html'}" if config.logging.report else "none"),
    )
    return "\n".join(f"{name + ':':<9} {text}" for name, text in rows)


def _exchange(config: ExchangeConfig, world_size: int) -> str:
    """Return the method of the exchange, what it averages, and how often."""
    if world_size == 1:
        return config.method
    text = f"{config.method} of {config.what}"
    if config.rule == "elastic":
        text = f"{config.method}, elastic with moving rate {moving_rate(config, world_size):g}"
    return text + (f" every {config.every} iterations" if config.every > 1 else "")


def resolved_config(config: Config) -> str:
    """Return YAML that ``--config`` reads back, with a comment at every key that the network's recipe sets."""
    recipe, images = model_spec(config.model.name).chosen_recipe(config.model.recipe), config.images_per_update
    heading = f"# The recipe of {config.model.name}: {recipe.source}, for {recipe.describe_images(images)}.\n"
    return heading + to_yaml(config, recipe.settings(images))


def run_facts(context: Context, replica: Replica, plan: Plan) -> dict[str, Any]:
    """Return what ``environment.json`` records about a run in addition to the machine."""
    return {
        "command": context.sheet.command,
        "devices": [describe(device) for device in all_devices(context.config)],
        "parameters": replica.state.n_parameters,
        "iterations": plan.train.iterations,
        "cache": context.sheet.cache,
    }


def pluralize(count: int, noun: str) -> str:
    """Return ``count`` with its noun, in the plural unless it is one.

    >>> pluralize(1, "epoch"), pluralize(90, "epoch")
    ('1 epoch', '90 epochs')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
