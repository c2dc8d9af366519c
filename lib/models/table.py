"""The text of --list_models: a table of the networks and a list of their recipes."""

from lib.models.recipes import Recipe
from lib.models.registry import MODELS

_HEADINGS = ("name", "parameters", "crop", "min crop", "kernels", "recipe", "source")
_RIGHT_ALIGNED = {"parameters", "crop", "min crop", "recipe"}


def table() -> str:
    """Return one line per network and, below them, one per recipe.

    The columns are name, parameters with 1,000 classes, crop, smallest crop, whether it has fused kernels for GPUs
    (compute.fused), number of its recipe, and source.
    """
    recipes = {spec.recipe.source: spec.recipe for spec in MODELS.values()}
    numbers = {source: str(number) for number, source in enumerate(recipes, 1)}
    rows = [_HEADINGS]
    for name, spec in MODELS.items():
        kernels, number = "own" if spec.fused else "", numbers[spec.recipe.source]
        rows.append((name, f"{spec.parameters:,}", str(spec.crop), str(spec.min_crop), kernels, number, spec.source))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = [">" if heading in _RIGHT_ALIGNED else "<" for heading in _HEADINGS]
    lines = [
        "  ".join(f"{cell:{align}{width}}" for cell, align, width in zip(row, aligned, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", *(f"recipe {numbers[source]}: {_describe(r)}" for source, r in recipes.items())])


def _describe(recipe: Recipe) -> str:
    training = f"{recipe.n_epochs} epochs of {recipe.images} images per update"
    return f"{training}, rate {recipe.optimizer.learning_rate:g}, {recipe.schedule.policy}; {recipe.source}"
