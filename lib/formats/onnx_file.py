"""ONNX: a network with its weights in one file, compared with torch in onnxruntime before it is renamed into place.

Needs the optional packages of ``pip install .[export]``.
"""

import importlib
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError, WeightsError, first_line

INPUT, OUTPUT = "images", "probabilities"
# Largest accepted difference of a logarithm of a probability, relative to the largest one or 1, whichever is larger.
_TOLERANCE = 1e-4
# Smaller probabilities round to any number, or to 0.
_SMALLEST = 1e-20


def write(network: nn.Module, img_size: int, metadata: Mapping[str, str], path: Path) -> None:
    """Write ``network``, which maps ``images``, uint8 (B, img_size, img_size, 3), to ``probabilities`` (B, K), any B.

    Raises ConfigError if a package is missing. Raises WeightsError, and leaves no file, if onnxruntime's probabilities
    differ from torch's.
    """
    for package in ("onnx", "onnxscript"):
        _package(package)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (3, img_size, img_size, 3), generator=generator, dtype=torch.uint8)
    program = _exported(network, images[:2])
    program.model.metadata_props.update(metadata)
    partial = path.with_name(f".{path.name}.partial")
    try:
        program.save(partial)
        _check(network, images, open_session(partial))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def open_session(path: Path) -> Any:
    """Return an onnxruntime.InferenceSession on the CPU. Raises ConfigError without the package, or WeightsError."""
    runtime = _package("onnxruntime")
    try:
        return runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises several types of its own
        raise WeightsError(f"{path} cannot be read as ONNX: {first_line(error)}") from None


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ConfigError(f"ONNX needs the package {name}; pip install onnx onnxruntime onnxscript") from None


def _exported(network: nn.Module, images: Tensor) -> Any:
    # The exporter warns about packages that these networks do not need and about torch's own deprecated calls.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return torch.onnx.export(
            network,
            (images,),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )


@torch.no_grad()
def _check(network: nn.Module, images: Tensor, session: Any) -> None:
    expected = network(images).clamp(min=_SMALLEST).log()
    got = torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0]).clamp(min=_SMALLEST).log()
    difference = float((expected - got).abs().max() / max(1.0, float(expected.abs().max())))
    if not difference <= _TOLERANCE:
        raise WeightsError(
            f"onnxruntime's probabilities differ from torch's by {difference:.2g} of their logarithm, more than "
            f"{_TOLERANCE:g}; this is a fault of the exporter: try other versions of torch and onnxruntime"
        )
