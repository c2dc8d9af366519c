"""The networks as a table for people."""

from lib.models.registry import MODELS

_HEADINGS = ("name", "parameters", "crop", "min crop", "kernels", "source")


def table() -> str:
    """One line a network: name, parameters with 1,000 classes, crop, smallest crop, whether it has kernels of
    its own for GPUs (compute.fused), source.
    """
    rows = [_HEADINGS]
    for name, spec in MODELS.items():
        rows.append(
            (name, f"{spec.parameters:,}", str(spec.crop), str(spec.min_crop), "own" if spec.fused else "", spec.source)
        )
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        f"{name:{wide[0]}}  {size:>{wide[1]}}  {crop:>{wide[2]}}  {min_crop:>{wide[3]}}  {own:{wide[4]}}  {source}"
        for name, size, crop, min_crop, own, source in rows
    )
