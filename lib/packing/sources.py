"""List the images of a data set in the order in which they are packed."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..data.class_names import composed
from ..data.images.listing import ImageFile
from ..data.packed.layout import Layout
from ..errors import DataError, reading
from ..types import SPLITS, Split
from .command import say
from .files import write_file
from .labeled import find_images, warn_of_equal
from .settings import Settings


class PackingRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that decide the bytes of a data set, and its classes by index."""

    img_size: int
    file_batch_size: int
    resize: Literal["squash", "crop"]
    seed: int
    classes: tuple[str, ...]


@dataclass(frozen=True)
class SourceList:
    """The images of one split, in the order in which they are packed."""

    split: Split
    root: Path
    entries: list[ImageFile]


@dataclass(frozen=True)
class Sources:
    """Everything that a data set is made from. Two that differ only in ``root`` give the same bytes."""

    recipe: PackingRecipe
    train: SourceList
    val: SourceList

    def split(self, name: Split) -> SourceList:
        """Return the images of one split."""
        return self.train if name == "train" else self.val

    def listing(self) -> str:
        """Return one line for each image: split, size in bytes, name."""
        return "".join(f"{s}\t{e.bytes}\t{e.name}\n" for s in SPLITS for e in self.split(s).entries)

    @property
    def fingerprint(self) -> str:
        """Identifies settings, classes and list."""
        return hashlib.sha256(msgspec.json.encode(self.recipe) + self.listing().encode()).hexdigest()[:16]


def find_sources(settings: Settings) -> Sources:
    """List the images, and shuffle those for training. Raises UserError as ``find_images`` does."""
    found = find_images(settings)
    if not settings.layout.recipe.exists():
        warn_of_equal(settings, found)
    train, val = (as_recorded(settings.layout, found[split].entries) for split in SPLITS)
    order = shuffled(len(train), settings.seed)[: settings.limit("train")]
    return Sources(
        PackingRecipe(
            img_size=settings.img_size,
            file_batch_size=settings.file_batch_size,
            resize=settings.resize,
            seed=settings.seed,
            classes=found["train"].classes,
        ),
        SourceList("train", found["train"].root, [train[i] for i in order]),
        SourceList("val", found["val"].root, val[: settings.limit("val")]),
    )


def as_recorded(at: Layout, entries: list[ImageFile]) -> list[ImageFile]:
    """Return ``entries`` without GIFs if the data set was begun by a version that passed them over."""
    gifs = sum(entry.name.lower().endswith(".gif") for entry in entries)
    if not gifs or not at.recipe.exists() or ".gif\n" in _read_list(at).lower():
        return entries
    say(f"{gifs:,} .gif files are left out, as they were when {at.dir} was first made")
    return [entry for entry in entries if not entry.name.lower().endswith(".gif")]


def shuffled(count: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers below ``count`` in an order that depends on ``seed`` alone, not on NumPy's version."""
    return np.argsort(np.random.Philox(key=seed).random_raw(count), kind="stable").astype(np.int64)


def record_sources(at: Layout, sources: Sources) -> None:
    """Record what the data set is made from, or check that it is what was recorded before.

    Raises DataError with everything that has changed.
    """
    if not at.recipe.exists():
        _check_unused(at)
        write_file(at.source_list, sources.listing().encode())
        write_file(at.recipe, msgspec.json.format(msgspec.json.encode(sources.recipe)))
        return
    changes = _recipe_changes(read_recipe(at), sources.recipe)
    changes += _list_changes(_read_list(at).splitlines(), sources.listing().splitlines())
    if changes:
        raise DataError(
            f"{at.dir} holds a data set of other settings or images: {'; '.join(changes)}. "
            f"Restore these, name another folder with --tar_root_dir, or delete {at.dir}"
        )


def _read_list(at: Layout) -> str:
    with reading(at.source_list, DataError, f"put a copy of it back, or delete {at.dir} to make all of it again"):
        return at.source_list.read_text("utf-8")


def read_recipe(at: Layout) -> PackingRecipe:
    """Return the settings with which the data set in ``at`` was made. Raises DataError."""
    with reading(at.recipe, DataError, "put a copy of it back, or run preprocessing/make_hkl.py in an empty folder"):
        return msgspec.json.decode(at.recipe.read_bytes(), type=PackingRecipe)


def _check_unused(at: Layout) -> None:
    for found in sorted(at.dir.glob("*_hkl_b*/*.hkl")):
        raise DataError(
            f"{found.parent} holds batch files, but {at.recipe}, which describes them, is missing; "
            "name the misc_dir they belong to, or another --tar_root_dir"
        )


def _recipe_changes(old: PackingRecipe, new: PackingRecipe) -> list[str]:
    changes = []
    for key in ("img_size", "file_batch_size", "resize", "seed"):
        if getattr(old, key) != getattr(new, key):
            changes.append(f"{key} was {getattr(old, key)}, is now {getattr(new, key)}")
    # Older versions recorded the names as they were spelled.
    before, now = ({composed(name) for name in recipe.classes} for recipe in (old, new))
    if before != now:
        differing = sorted(before ^ now)
        changes.append(f"classes were {len(old.classes)}, are now {len(new.classes)} (see {differing[0]})")
    return changes


def _list_changes(old: list[str], new: list[str]) -> list[str]:
    changes = []
    for split in SPLITS:
        before = [line.partition("\t")[2] for line in old if line.startswith(f"{split}\t")]
        now = [line.partition("\t")[2] for line in new if line.startswith(f"{split}\t")]
        if set(before) == set(now):
            continue  # the same images; another seed has been reported already
        sizes, names = zip(*(line.split("\t", 1) for line in set(before) ^ set(now)), strict=True)
        first = min(zip(names, sizes, strict=True))[0]
        count = f"{len(before)}" if len(before) == len(now) else f"{len(before)}, now {len(now)}"
        changes.append(f"the list of {split} images ({count}) differs, first in {first}")
    return changes
