"""Draw a toy data set: JPEGs of ten kinds of objects, in folders laid out like ImageNet's.

    python -m preprocessing.draw_toy_images FOLDER [--train-images 2560] [--val-images 640] [--seed 1]

Each image is a pure function of (seed, split, class, index): any number of processes draws the same files. Run it again
to complete an interrupted drawing.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError, UserError
from ..system.atomic_write import replace_file
from ..system.parent_death import end_with_parent
from .toy_images import SPLITS, VERSION, draw_image
from .toy_outlines import OUTLINES, wnid

STARTED, FINISHED = "drawing.json", "drawn.json"


class Job(NamedTuple):
    """One image, and its path relative to the folder."""

    path: Path
    split: str
    class_index: int
    number: int


def _jobs(split: str, images: int, classes: int) -> list[Job]:
    """Return balanced jobs: image i shows class i modulo ``classes``."""
    numbered = [(i % classes, i // classes) for i in range(images)]
    return [Job(Path(split, wnid(c), f"{wnid(c)}_{n}.JPEG"), split, c, n) for c, n in numbered]


def _write_json(path: Path, content: dict[str, int]) -> None:
    replace_file(path, (json.dumps(content, indent=1) + "\n").encode())


def _draw_jobs(folder: Path, seed: int, jobs: Sequence[Job]) -> None:
    """Draw these images. Ctrl-C is sent to every process; only the main one reports it."""
    with contextlib.suppress(KeyboardInterrupt):
        for path, split, class_index, number in jobs:
            file = io.BytesIO()
            draw_image(seed, split, class_index, number).save(file, format="JPEG", quality=90)
            replace_file(folder / path, file.getvalue())


def _draw_for(parent: int, folder: Path, seed: int, jobs: Sequence[Job]) -> None:
    """Draw these images in another process, which ends when its parent does."""
    if end_with_parent(parent):
        _draw_jobs(folder, seed, jobs)


def _draw_all(folder: Path, seed: int, jobs: Sequence[Job], processes: int) -> None:
    """Divide the jobs among the processes beforehand, so that they need no communication."""
    if processes == 1:
        return _draw_jobs(folder, seed, jobs)
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_draw_for, args=(os.getpid(), folder, seed, jobs[k::processes]), daemon=True)
        for k in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failed := [worker.exitcode for worker in workers if worker.exitcode]:
        raise DataError(f"{folder}: {len(failed)} of {processes} drawing processes ended with {failed}; see above")
    return None


def _parameters(counts: dict[str, int], seed: int, classes: int) -> dict[str, int]:
    """Return everything that the images depend on."""
    return {"version": VERSION, "seed": seed, "classes": classes, **counts}


def _claim(folder: Path, parameters: dict[str, int]) -> None:
    """Mark the folder as this drawing. Raises DataError if it holds another drawing or other files."""
    for path in (folder / FINISHED, folder / STARTED):
        if path.exists():
            if (found := path.read_text()) == json.dumps(parameters, indent=1) + "\n":
                return
            raise DataError(
                f"{folder} holds another drawing, {' '.join(found.split())}, not {json.dumps(parameters)}: "
                "name another folder, or delete this one"
            )
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} holds files that were not drawn by this program: name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / STARTED, parameters)


def draw(
    folder: Path,
    *,
    train_images: int,
    val_images: int,
    seed: int,
    classes: int = len(OUTLINES),
    processes: int | None = None,
) -> None:
    """Draw the missing images with ``processes`` processes (default: one a core). Raises DataError."""
    counts = {"train": train_images, "val": val_images}
    if not 2 <= classes <= len(OUTLINES):
        raise DataError(f"{classes} classes: 2 to {len(OUTLINES)} can be drawn")
    if seed < 0 or min(counts.values()) < classes:
        raise DataError(f"seed {seed}, images {counts}: 0 or more, and at least one image of each of {classes} classes")
    _claim(folder, _parameters(counts, seed, classes))

    jobs = [job for split in SPLITS for job in _jobs(split, counts[split], classes)]
    missing = [job for job in jobs if not (folder / job.path).exists()]
    for directory in {folder / job.path.parent for job in missing}:
        directory.mkdir(parents=True, exist_ok=True)
    # Starting a process takes about as long as drawing 50 images.
    useful = 1 + len(missing) // 50
    _draw_all(folder, seed, missing, min(useful, processes or len(os.sched_getaffinity(0))))

    words = "".join(f"{wnid(i)} {name}\n" for i, name in enumerate(list(OUTLINES)[:classes]))
    replace_file(folder / "words.txt", words.encode())
    if (folder / STARTED).exists():
        (folder / STARTED).replace(folder / FINISHED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script. Returns the exit status: 2 for an error that the user can fix."""
    parser = argparse.ArgumentParser(description="Draw a toy data set, laid out like ImageNet.")
    parser.add_argument("folder", type=Path, help="where to draw: FOLDER/train, FOLDER/val, FOLDER/words.txt")
    parser.add_argument("--train-images", type=int, default=2560, help="default: %(default)s")
    parser.add_argument("--val-images", type=int, default=640, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="each seed gives other images; default: %(default)s")
    parser.add_argument("--classes", type=int, default=len(OUTLINES), help="2 to %(default)s; default: %(default)s")
    parser.add_argument("--parent", type=int, help="end when this process ends: the one that starts the script")
    settings = vars(parser.parse_args(arguments))
    if (parent := settings.pop("parent")) is not None and not end_with_parent(parent):
        return 1
    start = time.perf_counter()
    try:
        draw(**settings)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    images = settings["train_images"] + settings["val_images"]
    seconds = time.perf_counter() - start
    print(f"{settings['folder']}: {images} images of {settings['classes']} classes, {seconds:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
