"""Read ILSVRC's development kit: its list of classes (meta.mat, meta_clsloc.mat) and its ground truth."""

import re
from dataclasses import dataclass
from pathlib import Path

import scipy.io

from lib.errors import DataError

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
    try:
        with path.open("rb") as file:
            synsets = scipy.io.loadmat(file, squeeze_me=True)["synsets"].reshape(-1)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; set meta_clsloc_mat to the devkit's .mat file") from None
    except Exception as error:  # SciPy raises many types for a file that is not MATLAB's
        raise DataError(f"{path} is not the devkit's list of classes: {error}") from None
    fields = synsets.dtype.names or ()
    id_field = next((field for field in fields if ID_FIELD.fullmatch(field)), None)
    name_field = next((field for field in ("words", "name") if field in fields), None)
    if id_field is None or name_field is None or "WNID" not in fields:
        raise DataError(f"{path} has the fields {list(fields)}, but no ILSVRC..._ID, WNID and words or name")
    return [Synset(int(s[id_field]), str(s["WNID"]), str(s[name_field])) for s in synsets]


def read_ground_truth(path: Path) -> list[int]:
    """Return the class numbers in a file of one number a line. Raises DataError for anything else."""
    try:
        lines = path.read_text().split("\n")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; set val_label_file to the devkit's ground truth") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: {error}") from None
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, 1):
        if not line.strip().isdecimal():
            raise DataError(f"{path}, line {number}: {line.strip()[:40]!r} is not a class number")
    return [int(line) for line in lines]
