"""Names for people of classes that a data set knows by folder or number, from a file that may lie beside it.

misc/classes.json           as preprocessing/generate_data.sh writes it
synset_words.txt            "n01440764 tench, Tinca tinca" a line, in the order of the classes: Caffe's
LOC_synset_mapping.txt      the same: Kaggle's
words.txt                   the same of any words in any order: WordNet's
"""

from collections.abc import Sequence
from pathlib import Path

from lib.data.dataset import ClassName, named_classes, numbered_classes
from lib.data.packed.layout import Layout
from lib.data.packed.metadata import read_classes
from lib.errors import DataError

IN_ORDER = ("synset_words.txt", "LOC_synset_mapping.txt")
WORDS = (*IN_ORDER, "words.txt")


def classes_of_folders(at: Layout, folders: Sequence[str]) -> tuple[ClassName, ...]:
    """The classes of these folders, in order; one that no file names keeps its folder's name. Raises DataError."""
    names = _names(at, WORDS)
    plain = named_classes(tuple(folders))
    return tuple(ClassName(c.index, c.wnid, names.get(c.wnid, c.name)) for c in plain)


def classes_of_numbers(at: Layout, count: int) -> tuple[ClassName, ...]:
    """Classes 0 to ``count`` - 1, named in the order of a file. Raises DataError where that names fewer."""
    names = _names(at, IN_ORDER)
    if not names:
        return numbered_classes(count)
    if len(names) < count:
        raise DataError(f"{at.dir} has labels up to {count - 1}, but its list of names has {len(names)} classes")
    return tuple(ClassName(index, *pair) for index, pair in zip(range(count), names.items(), strict=False))


def read_words(path: Path) -> dict[str, str]:
    """Folder name -> name for people, in the order of the lines. Raises DataError."""
    try:
        lines = [line.split(None, 1) for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: {error}") from None
    return {line[0]: line[1].strip() for line in lines if len(line) == 2}


def find_words(folders: Sequence[Path], files: Sequence[str] = WORDS) -> Path | None:
    """The first list of names that lies in one of these folders."""
    found = (folder / name for folder in folders for name in files)
    return next((path for path in found if path.is_file()), None)


def _names(at: Layout, files: Sequence[str]) -> dict[str, str]:
    """Folder name -> name for people; empty where no file says."""
    if at.classes.is_file():
        return {c.wnid: c.name for c in read_classes(at)}
    path = find_words((at.misc, at.dir), files)
    return read_words(path) if path else {}
