"""Name the classes (classes.json), and list the images of each split with their labels (train.txt, val.txt)."""

from collections.abc import Sequence

import msgspec

from ..data.class_names import find_words, read_words
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
from .settings import Settings
from .sources import read_recipe
from .val_labels import wnids_of_flat


def make_train_val_txt(settings: Settings) -> None:
    """Write classes.json, train.txt and val.txt for the images that make_hkl has packed."""
    at = settings.layout
    read_manifest(at)
    wnids = read_recipe(at).classes
    readable = readable_names(settings)
    classes = [ClassName(index, wnid, readable.get(wnid, wnid)) for index, wnid in enumerate(wnids)]
    write_file(at.classes, msgspec.json.format(msgspec.json.encode(classes)))
    index_of = {wnid: index for index, wnid in enumerate(wnids)}
    for split in SPLITS:
        names = read_filenames(at, split)
        folders = _folders(settings, wnids, names)
        lines = [f"{name} {index_of[wnid]}\n" for name, wnid in zip(names, folders, strict=True)]
        write_file(at.list_file(split), "".join(lines).encode())
    n_named = sum(c.name != c.wnid for c in classes)
    say(f"{len(classes)} classes, {n_named} of them with a readable name, in {at.classes}")


def readable_names(settings: Settings) -> dict[str, str]:
    """Return readable names by wnid, from the devkit or from a list next to the class folders."""
    if settings.meta_clsloc_mat is not None:
        return {synset.wnid: synset.name for synset in read_synsets(settings.meta_clsloc_mat)}
    folder = settings.img_dir("train")
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


def _folders(settings: Settings, wnids: Sequence[str], names: list[str]) -> list[str]:
    """Return the class folder of each image."""
    if "/" in names[0]:
        return [class_of(name) for name in names]
    wnid_of = wnids_of_flat(settings, wnids)
    missing = next((name for name in names if name not in wnid_of), None)
    if missing is not None:
        raise DataError(f"{settings.img_dir('val')} no longer has {missing}, which has been packed")
    return [wnid_of[name] for name in names]
