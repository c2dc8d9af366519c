#!/usr/bin/env python3
"""Write the table of networks in README.md from the registry: python docs/generate_networks.py."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # so that this file can be run from any folder

from lib.models.registry import MODELS  # noqa: E402

BEGIN, END = "<!-- networks: written by docs/generate_networks.py -->\n", "<!-- end of networks -->\n"


def table() -> str:
    """Return a row per source and recipe, with the networks that have them and their number of parameters."""
    rows: dict[tuple[str, str], list[str]] = {}
    for name, spec in MODELS.items():
        if not name.startswith("tiny"):
            default = spec.chosen_recipe("auto")
            recipe = f"{default.n_epochs} epochs, {default.images} images per update"
            rows.setdefault((spec.source, recipe), []).append(f"`{name}` {spec.parameters / 1e6:.1f} M")
    lines = [
        "| networks, with their parameters for 1,000 classes | source | recipe |",
        "|---|---|---|",
    ]
    lines += [f"| {', '.join(names)} | {source} | {recipe} |" for (source, recipe), names in rows.items()]
    return "\n".join(lines) + "\n"


def written(readme: str) -> str:
    """Return the text of README.md with the current table."""
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: BEGIN + table() + END, readme, flags=re.DOTALL)


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
