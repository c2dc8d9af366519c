"""Print the most probable classes of an image, as text, JSON or CSV."""

import csv
import json
import sys
from collections.abc import Callable

Best = list[tuple[int, str, str, float]]
"""(index, folder name, readable name, probability) of the most probable classes, best first"""

Show = Callable[[str, Best], None]
"""prints the classes of the image with that file name"""


def text(with_names: bool) -> Show:
    """Print lines such as ``giant panda, panda (score = 0.88493)``, with the file name above them if ``with_names``."""

    def show(name: str, found: Best) -> None:
        lines = [f"{readable or folder} (score = {score:.5f})" for _, folder, readable, score in found]
        print("\n".join([f"{name}:", *lines, ""] if with_names else lines), flush=True)

    return show


def json_lines(_: bool) -> Show:
    """Print one JSON object a line."""

    def show(name: str, found: Best) -> None:
        keys = ("class", "folder", "name", "score")
        print(json.dumps({"picture": name, "best": [dict(zip(keys, one, strict=True)) for one in found]}), flush=True)

    return show


def table(_: bool) -> Show:
    """Print CSV with a header."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("picture", "place", "folder", "name", "score"))

    def show(name: str, found: Best) -> None:
        for place, (_, folder, readable, score) in enumerate(found, 1):
            writer.writerow((name, place, folder, readable, f"{score:.5f}"))
        sys.stdout.flush()

    return show


# --format: function that takes whether there may be several images.
SHOWN: dict[str, Callable[[bool], Show]] = {"text": text, "json": json_lines, "csv": table}
