"""Open a network for classification, whatever kind of file holds it."""

import argparse
from pathlib import Path

from ..formats import safe_tensors
from .exported import open_safetensors
from .onnx_predictor import open_onnx
from .predictor import Predictor, open_predictor


def open_network(options: argparse.Namespace) -> Predictor:
    """Return the network that ``--checkpoint`` names: a checkpoint, or a file of ``export.py``, which need no more.

    With ``--data``, weights of any format, as ``open_predictor`` opens them. Raises UserError.
    """
    path = Path(options.checkpoint)
    if options.data is None and path.is_file():
        if path.suffix == ".onnx":
            return open_onnx(path)
        if safe_tensors.recognizes(path) and "network" in safe_tensors.read_header(path)[0]:
            return open_safetensors(path)
    return open_predictor(options)
