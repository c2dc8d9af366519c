"""Checks of tensors from a file. Nothing from a file is used before it has passed them."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError


def load_tensors(path: Path, *, mmap: bool = False) -> Any:
    """Return what torch.save wrote to ``path``, on the CPU, if it is made of tensors and plain values only.

    Raises ValueError if entries are compressed, which torch.save never does: a small file could fill the memory.
    Raises almost anything else for a damaged file, as torch.load does.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in file.infolist()):
                raise ValueError("it is compressed, unlike files of torch.save")
    return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)


def tensor_flaw(tensor: Tensor) -> str:
    """Return why no program can use a tensor as weights, or an empty text."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        return "is sparse, quantized or without data"
    if tensor.nbytes > tensor.untyped_storage().nbytes():  # repeated numbers: the check itself could fill the memory
        return "claims more numbers than the file holds"
    if tensor.is_complex():
        return "has complex numbers"
    if not torch.isfinite(tensor if tensor.element_size() > 1 else tensor.float()).all():
        return "contains NaN or infinite numbers"
    return ""


def check_fit(
    path: str | Path, weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], error: type[UserError]
) -> None:
    """Raise ``error`` unless ``weights`` can be copied to ``expected``: same names and shapes, usable numbers.

    Names the first weight that is missing, unexpected, of another shape or type, or not finite as ``expected``'s type.
    """
    for name, value in expected.items():
        if name in weights and weights[name].shape != value.shape:
            raise error(
                f"{path}: {name} has shape {tuple(weights[name].shape)} in the file and {tuple(value.shape)} in this "
                "network; use the model.name, number of classes and image size that the weights were trained with"
            )
    missing = [name for name in expected if name not in weights]
    extra = [name for name in weights if name not in expected]
    reasons = [
        f"{names[0]} {tuple(tensors[names[0]].shape)} is {what} ({len(names)} in all)"
        for names, tensors, what in (
            (missing, expected, "missing in the file"),
            (extra, weights, "not in this network"),
        )
        if names
    ]
    if reasons:
        raise error(f"{path} is of another network: {', and '.join(reasons)}; use the right model.name")
    for name, value in expected.items():
        if flaw := _mismatch(weights[name], value):
            raise error(f"{path}: {name} {flaw}; use other weights")


def _mismatch(tensor: Tensor, expected: Tensor) -> str:
    if flaw := tensor_flaw(tensor):
        return flaw
    if tensor.dtype == expected.dtype:
        return ""
    if not (tensor.is_floating_point() and expected.is_floating_point()):
        return f"has {tensor.dtype} numbers instead of {expected.dtype}"
    return tensor_flaw(tensor.to(expected.dtype))
