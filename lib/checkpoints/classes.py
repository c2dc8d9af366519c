"""Match the classes of weights with those of a data set, by the names of their folders.

The number of a class is the rank of its folder, so folders with other names, or one folder more, shift the numbers.
"""

from collections.abc import Sequence
from pathlib import Path

from ..errors import CheckpointError

BY_ORDER = "if they are the same classes in the same order, add --model.classes by_order"


def match_classes(path: str | Path, theirs: Sequence[str], ours: Sequence[str]) -> list[int]:
    """Return, for each class of the data set, its number in the network at ``path``.

    ``theirs`` and ``ours`` are folder names by class number. Raises CheckpointError if they are not the same names.
    """
    if not same_names(theirs, ours):
        lacking = " and ".join(
            f"{len(names)} of {whose} are not {where}, such as {names[0]}"
            for names, whose, where in (
                (sorted(set(theirs) - set(ours)), "its classes", "in this data set"),
                (sorted(set(ours) - set(theirs)), "this data set's classes", "among its"),
            )
            if names
        )
        raise CheckpointError(f"{path} was trained on other classes: {lacking or 'some come twice'}; {BY_ORDER}")
    numbers = {name: number for number, name in enumerate(theirs)}
    return [numbers[name] for name in ours]


def same_names(theirs: Sequence[str], ours: Sequence[str]) -> bool:
    """Return whether these are the same classes, each once, in any order."""
    return len(theirs) == len(ours) == len(set(ours)) and set(theirs) == set(ours)


def check_same_order(path: str | Path, theirs: Sequence[str], ours: Sequence[str]) -> None:
    """Raise CheckpointError unless both have the same classes in the same order, as a resumed training needs."""
    if match_classes(path, theirs, ours) != list(range(len(ours))):
        raise CheckpointError(
            f"{path} has the classes of this data set in another order; use it as model.weights, which matches them by "
            f"name, or, {BY_ORDER}"
        )
