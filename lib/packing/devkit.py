"""Read ILSVRC's development kit: its list of classes (meta.mat, meta_clsloc.mat) and its ground truth."""

import re
from dataclasses import dataclass
from pathlib import Path

import scipy.io

from ..errors import DataError, reading

CLASS_NUMBER = re.compile(r"[0-9]{1,9}")
ID_FIELD = re.compile(r"ILSVRC\d{4}_(CLSLOC_)?ID")


@dataclass(frozen=True)
class Synset:
    """A class of ILSVRC: its number, its folder name, and its readable name."""

    id: int
    wnid: str
    name: str


def read_synsets(path: Path) -> list[Synset]:
    """Return the classes in the devkit's ``meta.mat`` (2012) or ``meta_clsloc.mat`` (2014, 2015).

    Raises DataError if the file is missing or is neither.
    """
    with reading(path, DataError, "set meta_clsloc_mat to the devkit's list of classes, a .mat file"):
        return _synsets(path)


def _synsets(path: Path) -> list[Synset]:
    with path.open("rb") as file:
        synsets = scipy.io.loadmat(file, squeeze_me=True)["synsets"].reshape(-1)
    fields = synsets.dtype.names or ()
    id_field = next((field for field in fields if ID_FIELD.fullmatch(field)), None)
    name_field = next((field for field in ("words", "name") if field in fields), None)
    if id_field is None or name_field is None or "WNID" not in fields:
        raise DataError(f"{path} has the fields {list(fields)}, but no ILSVRC..._ID, WNID and words or name")
    return [Synset(int(s[id_field]), str(s["WNID"]), str(s[name_field])) for s in synsets]


def read_ground_truth(path: Path) -> list[int]:
    """Return the class numbers in a file of one number a line. Raises DataError for anything else."""
    with reading(path, DataError, "set val_label_file to the devkit's ground truth, a text file"):
        lines = [line.strip() for line in path.read_text("utf-8-sig").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, 1):
        if not CLASS_NUMBER.fullmatch(line):
            raise DataError(f"{path}, line {number}: {line[:40]!r} is not a class number")
    return [int(line) for line in lines]
