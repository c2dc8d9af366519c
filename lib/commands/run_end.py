"""The lines at the end of a training: what it reached, and the commands that come next."""

import contextlib
import os
import shlex
import statistics
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..config.schema import Config, DataConfig
from ..data.images.listing import SUFFIXES
from ..data.packed.layout import layout
from ..data.sources.class_folders import SPLIT_RECORD, VAL_FOLDERS
from ..data.sources.split import read_split
from ..errors import DataError
from ..recording.metrics_log import read_lines
from ..system.npy import from_npy_bytes
from ..system.program import command_words

# Where a data set has pictures that were not trained on. generate_toy_data.sh draws into toy_images.
_VALIDATION = (*VAL_FOLDERS, "toy_images/val")


def end_summary(config: Config, *, seconds: float) -> str:
    """Return best epoch, time, speed, memory, paths and next commands of a training that took ``seconds``."""
    folder = config.run.weights_dir
    rows = [*_best(folder), ("time", f"{tqdm.format_interval(seconds)}{_speed(folder)}")]
    if config.logging.report:
        rows.append(("page", str(folder / "report.html")))
    rows += zip(("next", "", ""), next_commands(folder, config.data), strict=True)
    return "\n".join(f"{name + ':' if name else '':<9} {text}" for name, text in rows)


def next_commands(folder: Path, data: DataConfig) -> list[str]:
    """Return the commands for the run in ``folder``, which work in the current folder: classify, validate, export."""
    picture = example_picture(data) or Path("PHOTO.jpg")
    return [
        shlex.join([*command_words(name), *map(str, words)])
        for name, words in (
            ("classify", (picture, "--checkpoint", folder)),
            ("validate", ("--checkpoint", folder)),
            ("export", (folder / "network.safetensors", "--checkpoint", folder)),
        )
    ]


def example_picture(data: DataConfig) -> Path | None:
    """Return a picture of the data set, or None if it holds no files of pictures.

    It is the first of the validation images if they have a folder of their own or the data set was split.
    """
    for part in _VALIDATION:
        if found := _first_picture(data.dir / part):
            return found
    with contextlib.suppress(DataError):  # someone damaged the record while the training ran
        split = read_split(layout(data.dir, data.misc_dir).misc / SPLIT_RECORD, data.val_share)
        for name in sorted(split):
            if split[name] == "val" and (data.dir / name).is_file():
                return data.dir / name
    return _first_picture(data.dir)


def _first_picture(folder: Path) -> Path | None:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "@", "misc")))
        if names := [name for name in files if name.lower().endswith(SUFFIXES) and not name.startswith(".")]:
            return Path(root, min(names))
    return None


def _best(folder: Path) -> list[tuple[str, str]]:
    try:
        errors = np.asarray(from_npy_bytes((folder / "val_record.npy").read_bytes()))[:, 0]
        name = (folder / "checkpoints/best").read_text(encoding="utf-8")
    except (OSError, ValueError, IndexError):  # nothing was validated, or someone else removed the files
        return []
    best = int(errors.argmin())
    text = f"epoch {best + 1} of {len(errors)}, accuracy {100 * (1 - errors[best]):.2f} %"
    return [
        ("best", f"{text} (error {100 * errors[best]:.2f} %)"),
        ("weights", str(folder / "checkpoints" / name)),
    ]


def _speed(folder: Path) -> str:
    entries = [entry.values for entry, _ in read_lines(folder / "metrics.jsonl") if entry and entry.kind == "train"]
    speeds = [values["images_per_s"] for values in entries if "images_per_s" in values]
    memory = max((values["memory"] for values in entries if "memory" in values), default=0)
    text = f", {statistics.median(speeds):,.0f} images/s (median)" if speeds else ""
    return text + (f", memory {memory / 1e9:.1f} GB a trainer" if memory else "")
