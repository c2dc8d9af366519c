"""validate.py: evaluate a checkpoint over all validation images."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..config.schema import Config
from ..data.dataset import DataSet
from ..data.sources.class_folders import is_split
from ..data.sources.registry import source_kind
from ..evaluation.options import Evaluation
from .configuration import parse_config
from .report_errors import report_errors
from .run import check_network, describe, prepare_files, run_roles, worker_roles

# The metadata of exports (docs/exports.md) that are settings.
_EXPORTED = {
    "network": "model.name",
    "width": "model.width",
    "activation": "model.activation",
    "blurpool": "model.blurpool",
    "crop": "model.crop",
    "img_size": "data.img_size",
    "resize": "data.resize",
    "mean": "normalize.mean",
    "std": "normalize.std",
}

_KEYS = (
    *(
        "run.weights_dir",
        "run.limit_batches",
        "data.source",
        "data.dir",
        "data.misc_dir",
        "data.img_size",
        "data.resize",
    ),
    *("data.decoders", "model.name", "model.classes", "model.made_for", "normalize.mean", "normalize.std"),
    *("compute.precision", "devices", "batch_size"),
)
"""the keys that it uses"""


@report_errors
def validate(description: str, spec: Path) -> int:
    """Run validate.py. Returns the exit status."""
    config, evaluation = parse(sys.argv[1:], description, spec)
    config, data = find_images(config, evaluation)
    prepare_files(config, data)
    roles = worker_roles(range(config.world_size), "validator")
    return run_roles(config, data, roles, evaluation=evaluation)


def find_images(config: Config, evaluation: Evaluation) -> tuple[Config, DataSet]:
    """Return the data set to evaluate, and the configuration with the size of its images. Raises UserError.

    It is that of a training if it has training images of the classes of the weights. Otherwise its validation images
    are enough, of any of these classes, in class folders or with a list of labels, and of the size for the weights.
    """
    check_network(config)
    kind = source_kind(config.data)
    if not kind.describe_val or config.model.classes == "by_order":
        return config, describe(config)
    from ..evaluation.opening import preparation_of  # noqa: PLC0415  (imports torch, which --help does not need)

    known = preparation_of(evaluation.checkpoint or config.run.weights_dir)
    if not known:
        return config, describe(config)
    if is_split(config.data):
        described = describe(config)
        if {c.wnid for c in described.classes} == set(known.folders):
            return config, described
    config = replace(config, data=replace(config.data, img_size=known.mean.shape[1], resize=known.resize))
    return config, kind.describe_val(config.data, known.folders)


def parse(argv: Sequence[str], description: str, spec: Path) -> tuple[Config, Evaluation]:
    """Return the configuration and what to evaluate. Raises UserError.

    Unless a --config is named, network, data and sizes are those of the checkpoint and of its run; devices are not.
    """
    parse_all = partial(
        parse_config, description=description, spec=spec, options=Evaluation, shortcuts=("--debug",), usual=_KEYS
    )
    config, evaluation = parse_all(argv)
    if any(word.partition("=")[0] == "--config" for word in argv):
        return config, evaluation
    if own := config_of_run(evaluation.checkpoint or config.run.weights_dir):
        here = {
            "config": str(own),
            "run.weights_dir": str(config.run.weights_dir),
            "run.limit_batches": str(config.run.limit_batches),
            "devices": json.dumps(config.devices),
            "exchange.method": config.exchange.method,
        }
    elif evaluation.checkpoint:
        here = settings_of_file(evaluation.checkpoint)
    else:
        return config, evaluation
    return parse_all([*(f"--{key}={value}" for key, value in here.items()), *argv])


def config_of_run(path: Path) -> Path | None:
    """Return the configuration of the run whose folder, or whose checkpoint, is ``path``; None if there is none."""
    folder = path if path.is_dir() else path.parent.parent
    found = folder / "config.yaml"
    return found if found.is_file() and (folder / "checkpoints").is_dir() else None


def settings_of_file(path: Path) -> dict[str, str]:
    """Return the settings that a checkpoint without its run's folder, or a safetensors export, holds; else none."""
    from ..checkpoints import checkpoint  # noqa: PLC0415  (imports torch, which --help does not need)
    from ..formats import safe_tensors  # noqa: PLC0415

    if safe_tensors.recognizes(path):
        said, _ = safe_tensors.read_header(path)
        return {key: said[name] for name, key in _EXPORTED.items() if name in said}
    if not checkpoint.may_be_checkpoint(path):
        return {}
    saved = checkpoint.load(path)
    return {
        "model.name": saved.identity.model,
        **{f"model.{name}": value for name, value in saved.identity.variant.settings().items()},
        "data.img_size": str(saved.identity.img_size),
        "data.resize": saved.preparation.resize,
        "normalize.mean": saved.preparation.subtracted,
        "normalize.std": json.dumps(saved.preparation.std),
    }
