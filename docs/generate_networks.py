#!/usr/bin/env python3
"""Write the tables of networks in README.md and docs/performance.md: python docs/generate_networks.py.

They come from the registry, and from step.json, which ``python -m benchmarks.step --model NAME ... --json`` prints.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # so that this file can be run from any folder

from lib.models.registry import MODELS  # noqa: E402

BEGIN, END = "<!-- {}: written by docs/generate_networks.py -->\n", "<!-- end of {} -->\n"


def table() -> str:
    """Return a row per source and recipe, with the networks that have them, their parameters and their speed."""
    rows: dict[tuple[str, str], list[str]] = {}
    speeds: dict[str, str] = {}
    for case, contenders in measured().items():
        speeds.setdefault(case.partition(",")[0], f", {ours(contenders)['median'] / 1000:.3g} k")
    for name, spec in MODELS.items():
        if not name.startswith("tiny"):
            default = spec.chosen_recipe("auto")
            recipe = f"{default.n_epochs} epochs, {default.images} images per update"
            rows.setdefault((spec.source, recipe), []).append(
                f"`{name}` {spec.parameters / 1e6:.1f} M{speeds.get(name, '')}"
            )
    lines = [
        "| networks: parameters for 1,000 classes, images/s of one H200 | source | recipe |",
        "|---|---|---|",
    ]
    lines += [f"| {', '.join(names)} | {source} | {recipe} |" for (source, recipe), names in rows.items()]
    return "\n".join(lines) + "\n"


def measured() -> dict[str, list[dict[str, Any]]]:
    """Return the rows of step.json by case, such as ``resnet50, batch 128``."""
    cases: dict[str, list[dict[str, Any]]] = {}
    for row in json.loads((ROOT / "docs/step.json").read_text(encoding="utf-8"))["rows"]:
        cases.setdefault(row["case"], []).append(row)
    return cases


def ours(contenders: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the row of this program."""
    return next(row for row in contenders if row["name"].startswith("ours"))


def speed_table() -> str:
    """Return a row per case of step.json: this program beside PyTorch compiled in each mode."""
    lines = [
        "| network, batch | images/s (lowest to highest) | compiled PyTorch, mode default | reduce-overhead | ratio |",
        "|---|---|---|---|---|",
    ]
    for case, contenders in measured().items():
        own, (name, _, batch) = ours(contenders), case.partition(", batch ")
        peers = {row["name"]: row["median"] for row in contenders if row is not own}
        cells = [f"{speed:,.0f}" for speed in peers.values()]
        figures = f"{own['median']:,.0f} ({own['low']:,.0f} to {own['high']:,.0f})"
        lines.append(
            f"| `{name}`, {batch} | {figures} | {' | '.join(cells)} | {own['median'] / max(peers.values()):.2f} |"
        )
    return "\n".join(lines) + "\n"


TABLES = {"README.md": ("networks", table), "docs/performance.md": ("speeds", speed_table)}
"""by page: the name in its markers, and what stands between them"""


def written(page: str, text: str) -> str:
    """Return the text of a page with the current table."""
    name, current = TABLES[page]
    begin, end = BEGIN.format(name), END.format(name)
    return re.sub(f"{begin}.*?{end}", lambda _: begin + current() + end, text, flags=re.DOTALL)


if __name__ == "__main__":
    for page in TABLES:
        path = ROOT / page
        path.write_text(written(page, path.read_text(encoding="utf-8")), encoding="utf-8")
