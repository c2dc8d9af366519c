"""Name the classes (classes.json), and list the images of each split with their labels (train.txt, val.txt)."""

import msgspec

from ..data.class_names import composed, find_words, read_words
from ..data.dataset import ClassName
from ..data.images.listing import class_of
from ..data.packed.layout import Layout
from ..data.packed.manifest import read_manifest
from ..errors import DataError
from ..system.npy import read_npy
from ..types import SPLITS, Split
from .command import say
from .devkit import read_synsets
from .files import write_file
from .labeled import find_images
from .settings import Settings
from .sources import read_recipe


def make_train_val_txt(settings: Settings) -> None:
    """Write classes.json, train.txt and val.txt for the images that make_hkl has packed."""
    at = settings.layout
    read_manifest(at)
    wnids = read_recipe(at).classes
    readable = {composed(folder): name for folder, name in readable_names(settings).items()}
    classes = [ClassName(index, wnid, readable.get(composed(wnid), wnid)) for index, wnid in enumerate(wnids)]
    write_file(at.classes, msgspec.json.format(msgspec.json.encode(classes)))
    index_of = {composed(wnid): index for index, wnid in enumerate(wnids)}
    for split in SPLITS:
        names = read_filenames(at, split)
        folders = _folders(settings, split, names)
        lines = [f"{name} {index_of[wnid]}\n" for name, wnid in zip(names, folders, strict=True)]
        write_file(at.list_file(split), "".join(lines).encode())
    n_named = sum(c.name != c.wnid for c in classes)
    named = f"{n_named} of them with a readable name" if n_named else "named like their folders"
    say(f"{len(classes)} classes, {named}, in {at.classes}")


def readable_names(settings: Settings) -> dict[str, str]:
    """Return readable names by wnid, from the devkit or from a list next to the class folders."""
    if settings.meta_clsloc_mat is not None:
        return {synset.wnid: synset.name for synset in read_synsets(settings.meta_clsloc_mat)}
    folder = settings.img_dir or settings.source("train")
    path = find_words((folder, folder.parent))
    return read_words(path) if path else {}


def read_filenames(at: Layout, split: Split) -> list[str]:
    """Return the names of the split's images, in the order of the batch files. Raises DataError."""
    path, fix = at.filenames(split), "delete it and run preprocessing/make_hkl.py"
    names = read_npy(path, DataError, fix)
    if names.dtype.kind != "U" or names.ndim != 1 or not len(names):
        raise DataError(f"{path} holds {names.dtype} {names.shape}, not names of images; {fix}")
    found: list[str] = names.tolist()
    return found


def _folders(settings: Settings, split: Split, names: list[str]) -> list[str]:
    """Return the class of each image. Raises DataError if one is gone."""
    if not settings.img_dir and "/" in names[0]:
        return [class_of(name) for name in names]
    found = find_images(settings)[split]
    missing = next((name for name in names if name not in found.labels), None)
    if missing is not None:
        raise DataError(f"{found.root} no longer has {missing}, which has been packed")
    return [found.labels[name] for name in names]
