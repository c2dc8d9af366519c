"""Readable names for classes that a data set knows by folder or number, from a file in the data set.

misc/classes.json           as preprocessing/generate_data.sh writes it
synset_words.txt            lines of "n01440764 tench, Tinca tinca" in the order of the classes, as Caffe has it
LOC_synset_mapping.txt      the same, as Kaggle has it
words.txt                   the same for any synsets in any order, as WordNet has it
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError, reading
from .dataset import ClassName, named_classes, numbered_classes
from .packed.layout import Layout
from .packed.metadata import read_classes

IN_ORDER = ("synset_words.txt", "LOC_synset_mapping.txt")
# A few times the largest number in use. A single wrong label would ask for a network of terabytes.
_MAX_CLASSES = 1_000_000
WORDS = (*IN_ORDER, "words.txt")


def classes_of_folders(at: Layout, folders: Sequence[str]) -> tuple[ClassName, ...]:
    """Return the classes of these folders, in order. Without a readable name, the folder name is used.

    Raises DataError.
    """
    names = {composed(folder): name for folder, name in _names(at, WORDS).items()}
    return tuple(ClassName(c.index, c.wnid, names.get(composed(c.wnid), c.name)) for c in named_classes(tuple(folders)))


def classes_of_numbers(at: Layout, count: int) -> tuple[ClassName, ...]:
    """Return classes 0 to ``count`` - 1, named in the order of a file.

    Raises DataError if the file names fewer, or if there are more than any data set has.
    """
    if count > _MAX_CLASSES:
        raise DataError(f"{at.dir} has labels up to {count - 1:,}, so {count:,} classes; number them 0, 1, 2, ...")
    names = _names(at, IN_ORDER)
    if not names:
        return numbered_classes(count)
    if len(names) < count:
        raise DataError(f"{at.dir} has labels up to {count - 1}, but its list of names has {len(names)} classes")
    return tuple(ClassName(index, *pair) for index, pair in zip(range(count), names.items(), strict=False))


def composed(name: str) -> str:
    """Return a class name in Unicode's composed form (NFC), in which names are compared: a Mac decomposes them."""
    return unicodedata.normalize("NFC", name)


def read_words(path: Path) -> dict[str, str]:
    """Return readable names by folder name, in the order of the lines. A line without a name has the folder's.

    Raises DataError, also for a folder that is named twice: in a list in order, all later names would shift.
    """
    with reading(path, DataError, "save it as UTF-8 text of lines like 'n01440764 tench'"):
        lines = [line.split(None, 1) for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    names = {line[0]: line[-1].strip() for line in lines}
    if len(names) != len(lines):
        twice = Counter(line[0] for line in lines).most_common(1)[0][0]
        raise DataError(f"{path} names {twice} twice; remove one of these lines")
    return names


def find_words(folders: Sequence[Path], files: Sequence[str] = WORDS) -> Path | None:
    """Return the first list of names in one of these folders, or None."""
    found = (folder / name for folder in folders for name in files)
    return next((path for path in found if path.is_file()), None)


def _names(at: Layout, files: Sequence[str]) -> dict[str, str]:
    """Return readable names by folder name, or an empty dict if there is no file."""
    if at.classes.is_file():
        return {c.wnid: c.name for c in read_classes(at)}
    path = find_words((at.misc, at.dir), files)
    return read_words(path) if path else {}
