#!/usr/bin/env python3
"""Write README.md's table of networks from the registry: python docs/generate_networks.py."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from lib.models.recipes import Recipe  # noqa: E402
from lib.models.registry import MODELS  # noqa: E402  (the line above lets this file be run from any folder)

BEGIN, END = "<!-- networks: written by docs/generate_networks.py -->\n", "<!-- end of networks -->\n"


def table() -> str:
    """A row for networks of one source and recipe, each with its parameters."""
    rows: dict[tuple[str, str], list[str]] = {}
    for name, spec in MODELS.items():
        if not name.startswith("tiny"):
            shown = f"`{name}` {spec.parameters / 1e6:.1f} M"
            rows.setdefault((spec.source, _told(spec.recipe)), []).append(shown)
    lines = ["| networks, with their parameters for 1,000 classes | from | trained there |", "|---|---|---|"]
    lines += [f"| {', '.join(names)} | {source} | {recipe} |" for (source, recipe), names in rows.items()]
    return "\n".join(lines) + "\n"


def written(readme: str) -> str:
    """``readme`` with the table as it is now."""
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: BEGIN + table() + END, readme, flags=re.DOTALL)


def _told(recipe: Recipe) -> str:
    return f"{recipe.n_epochs} epochs of {recipe.images}"


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
