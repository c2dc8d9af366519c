"""Open a network for classification, whatever kind of file holds it."""

import argparse
from pathlib import Path

from ..checkpoints import checkpoint
from ..checkpoints.checkpoint import Preparation
from ..checkpoints.folder import best_of_run
from ..formats import safe_tensors, torchvision
from .exported import open_safetensors, read_preparation
from .onnx_predictor import open_onnx
from .predictor import Predictor, open_predictor
from .published import open_published


def preparation_of(path: Path) -> Preparation | None:
    """Return how images are prepared for the weights at ``path``, a file or a run's folder; None if it does not say.

    Raises CheckpointError or WeightsError if the file is damaged.
    """
    file = best_of_run(path) or path
    if checkpoint.may_be_checkpoint(file):
        return checkpoint.load(file).preparation
    if safe_tensors.recognizes(file):
        said, mean_CHW = safe_tensors.read_header(file)
        return read_preparation(file, said, mean_CHW) if mean_CHW is not None else None
    return None


def open_network(options: argparse.Namespace) -> Predictor:
    """Return the network that ``--checkpoint`` names: a checkpoint, or a file of ``export.py``, which need no more.

    torchvision means the weights that it publishes for ``--model``. With ``--data``, weights of any format, as
    ``open_predictor`` opens them. Raises UserError.
    """
    if options.data is None and torchvision.is_published(options.checkpoint):
        return open_published(options.checkpoint, options.model)
    path = Path(options.checkpoint)
    if options.data is None and path.is_file():
        if path.suffix == ".onnx":
            return open_onnx(path)
        if safe_tensors.recognizes(path) and "network" in safe_tensors.read_header(path)[0]:
            return open_safetensors(path)
    return open_predictor(options)
