"""Print the most probable classes of an image, as text, JSON or CSV."""

import csv
import json
import sys
from collections.abc import Callable

from ..system.terminal import printable

TopClasses = list[tuple[int, str, str, float]]
"""(index, folder name, readable name, probability) of the most probable classes, best first"""

Printer = Callable[[str, TopClasses], None]
"""prints the classes of the image with that file name"""


def text(with_names: bool) -> Printer:
    """Print lines such as ``giant panda, panda (score = 0.88493)``, with the file name above them if ``with_names``."""

    def print_image(name: str, classes: TopClasses) -> None:
        lines = [f"{readable or folder} (score = {score:.5f})" for _, folder, readable, score in classes]
        print(printable("\n".join([f"{name}:", *lines, ""] if with_names else lines)), flush=True)

    return print_image


def json_lines(_: bool) -> Printer:
    """Print one JSON object a line."""

    def print_image(name: str, classes: TopClasses) -> None:
        keys = ("class", "folder", "name", "score")
        print(json.dumps({"picture": name, "best": [dict(zip(keys, one, strict=True)) for one in classes]}), flush=True)

    return print_image


def table(_: bool) -> Printer:
    """Print CSV with a header."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("picture", "place", "folder", "name", "score"))

    def print_image(name: str, classes: TopClasses) -> None:
        for place, (_, folder, readable, score) in enumerate(classes, 1):
            writer.writerow((name, place, folder, readable, f"{score:.5f}"))
        sys.stdout.flush()

    return print_image


# --format: function that takes whether there may be several images.
PRINTERS: dict[str, Callable[[bool], Printer]] = {"text": text, "json": json_lines, "csv": table}
