"""ONNX: a network with its weights in one file, checked with onnxruntime against torch before it gets its name.

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

# Largest difference of a logit that is accepted, as a share of the largest logit or of 1.
_TOLERANCE = 1e-4


def write(model: nn.Module, crop: int, about: Mapping[str, str], path: Path) -> None:
    """Write ``model``: input ``images`` (B, 3, crop, crop) float32 RGB, 0 to 255 less the mean image, output ``logits``
    (B, K), any B. Raises WeightsError, and leaves nothing, when onnxruntime computes something else than torch.
    """
    _need("onnx")
    _need("onnxscript")
    runtime = _need("onnxruntime")
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(-128, 128, (3, 3, crop, crop), generator=generator).float()
    program = _exported(model, images[:2])
    program.model.metadata_props.update(about)
    part = path.with_name(f".{path.name}.partial")
    try:
        program.save(part)
        _check(model, images, runtime.InferenceSession(part, providers=["CPUExecutionProvider"]))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _exported(model: nn.Module, images: Tensor) -> Any:
    # The exporter warns of what a user cannot mend: packages that these networks do not need, torch's own old ways.
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
    ours = model(images)
    theirs = torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])
    difference = float((ours - theirs).abs().max() / max(1.0, float(ours.abs().max())))
    if not difference <= _TOLERANCE:
        raise WeightsError(
            f"onnxruntime's logits differ from torch's by {difference:.2g}, more than {_TOLERANCE:g}; this is a "
            "fault of the exporter: try other versions of torch and onnxruntime"
        )


def _need(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError:
        raise ConfigError(f"ONNX needs the package {package}; pip install onnx onnxruntime onnxscript") from None
