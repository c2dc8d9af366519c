"""The most probable classes of a picture on standard output: for people, or for programs."""

import csv
import json
import sys
from collections.abc import Callable

Best = list[tuple[int, str, str, float]]
"""(index, folder name, readable name, probability) of each class, the most probable first"""

Show = Callable[[str, Best], None]
"""shows what a picture, named first, was taken for"""


def text(with_names: bool) -> Show:
    """Lines such as ``giant panda, panda (score = 0.88493)``, under the picture's name where there are several."""

    def show(name: str, found: Best) -> None:
        lines = [f"{readable or folder} (score = {score:.5f})" for _, folder, readable, score in found]
        print("\n".join([f"{name}:", *lines, ""] if with_names else lines), flush=True)

    return show


def json_lines(_: bool) -> Show:
    """One JSON object a line."""

    def show(name: str, found: Best) -> None:
        keys = ("class", "folder", "name", "score")
        print(json.dumps({"picture": name, "best": [dict(zip(keys, one, strict=True)) for one in found]}), flush=True)

    return show


def table(_: bool) -> Show:
    """CSV with a header."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("picture", "place", "folder", "name", "score"))

    def show(name: str, found: Best) -> None:
        for place, (_, folder, readable, score) in enumerate(found, 1):
            writer.writerow((name, place, folder, readable, f"{score:.5f}"))
        sys.stdout.flush()

    return show


# By the value of ``format``; each is told whether there may be several pictures.
SHOWN: dict[str, Callable[[bool], Show]] = {"text": text, "json": json_lines, "csv": table}
