"""Classes of weights and of a data set are matched by the names of their folders."""

from pathlib import Path

import pytest

from lib.checkpoints.classes import check_same_order, match_classes
from lib.errors import CheckpointError

SORTED_AS_TEXT, SORTED_AS_NUMBERS = ("1", "10", "2"), ("1", "2", "10")


def test_classes_in_another_order_are_matched_by_name() -> None:
    assert match_classes("c.pt", SORTED_AS_NUMBERS, SORTED_AS_TEXT) == [0, 2, 1]
    assert match_classes("c.pt", SORTED_AS_TEXT, SORTED_AS_TEXT) == [0, 1, 2]


@pytest.mark.parametrize(
    ("ours", "says"),
    [
        (("1", "2", "x"), "1 of its classes are not in this data set, such as 10 and 1 of this data set's classes are"),
        (("1", "2"), "1 of its classes are not in this data set, such as 10; if they are the same classes in the same"),
        (("1", "2", "10", "3"), "1 of this data set's classes are not among its, such as 3; if"),
        (("1", "2", "2"), "c.pt was trained on other classes: 1 of its classes are not"),
    ],
)
def test_other_names_are_refused_with_the_way_to_say_that_order_is_meant(ours: tuple[str, ...], says: str) -> None:
    with pytest.raises(CheckpointError, match=f"{says}.*model.classes by_order|{says}.* not among"):
        match_classes("c.pt", SORTED_AS_NUMBERS, ours)


def test_a_training_is_not_resumed_with_classes_in_another_order() -> None:
    check_same_order(Path("c.pt"), SORTED_AS_TEXT, SORTED_AS_TEXT)
    with pytest.raises(
        CheckpointError, match="c.pt has the classes of this data set in another order; use it as model.w"
    ):
        check_same_order(Path("c.pt"), SORTED_AS_TEXT, SORTED_AS_NUMBERS)
