"""The networks, and how each is trained, as a table for people."""

from lib.models.recipes import Recipe
from lib.models.registry import MODELS

_HEADINGS = ("name", "parameters", "crop", "min crop", "kernels", "recipe", "source")


def table() -> str:
    """One line a network: name, parameters with 1,000 classes, crop, smallest crop, whether it has kernels of
    its own for GPUs (compute.fused), number of its recipe, source. Below them a line for each recipe.
    """
    recipes = list(dict.fromkeys(spec.recipe.source for spec in MODELS.values()))
    rows = [_HEADINGS]
    for name, spec in MODELS.items():
        own = "own" if spec.fused else ""
        number = str(recipes.index(spec.recipe.source) + 1)
        rows.append((name, f"{spec.parameters:,}", str(spec.crop), str(spec.min_crop), own, number, spec.source))
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{name:{wide[0]}}  {size:>{wide[1]}}  {crop:>{wide[2]}}  {min_crop:>{wide[3]}}  {own:{wide[4]}}  "
        f"{recipe:>{wide[5]}}  {source}"
        for name, size, crop, min_crop, own, recipe, source in rows
    ]
    told = {spec.recipe.source: _told(spec.recipe) for spec in MODELS.values()}
    return "\n".join([*lines, "", *(f"recipe {number}: {told[source]}" for number, source in enumerate(recipes, 1))])


def _told(recipe: Recipe) -> str:
    rate, policy = recipe.optimizer.learning_rate, recipe.schedule.policy
    return f"{recipe.n_epochs} epochs of {recipe.images} images an update, rate {rate:g}, {policy}; {recipe.source}"
