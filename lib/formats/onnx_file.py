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

from lib.errors import ConfigError, WeightsError

# Largest accepted difference of a logit, relative to the largest logit or 1, whichever is larger.
_TOLERANCE = 1e-4


def write(model: nn.Module, crop: int, metadata: Mapping[str, str], path: Path) -> None:
    """Write ``model`` with input ``images``, float32 (B, 3, crop, crop), and output ``logits`` (B, K), for any B.

    Inputs are RGB, 0 to 255 less the mean image. Raises ConfigError if a package is missing. Raises WeightsError, and
    leaves no file, if onnxruntime's logits differ from torch's.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            runtime: Any = importlib.import_module(package)
        except ImportError:
            raise ConfigError(f"ONNX needs the package {package}; pip install onnx onnxruntime onnxscript") from None
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(-128, 128, (3, 3, crop, crop), generator=generator).float()
    program = _exported(model, images[:2])
    program.model.metadata_props.update(metadata)
    partial = path.with_name(f".{path.name}.partial")
    try:
        program.save(partial)
        _check(model, images, runtime.InferenceSession(partial, providers=["CPUExecutionProvider"]))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _exported(model: nn.Module, images: Tensor) -> Any:
    # The exporter warns about packages that these networks do not need and about torch's own deprecated calls.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return torch.onnx.export(
            model,
            (images,),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )


@torch.no_grad()
def _check(model: nn.Module, images: Tensor, session: Any) -> None:
    expected = model(images)
    logits = torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])
    difference = float((expected - logits).abs().max() / max(1.0, float(expected.abs().max())))
    if not difference <= _TOLERANCE:
        raise WeightsError(
            f"onnxruntime's logits differ from torch's by {difference:.2g}, more than {_TOLERANCE:g}; this is a "
            "fault of the exporter: try other versions of torch and onnxruntime"
        )
