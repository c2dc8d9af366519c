"""Match validation images with the classes of a training, by name."""

from collections.abc import Sequence

from ...errors import DataError
from ...system.terminal import print_stdout
from .labeled_images import LabeledImages

_NAMED = 5


def match_validation(val: LabeledImages, classes: Sequence[str], trained: str) -> LabeledImages:
    """Return the images of ``classes``, those of ``trained``. Print which are left out, and which classes lack images.

    Raises DataError if there are none.
    """
    lacking, foreign = sorted(set(classes) - set(val.classes)), sorted(set(val.classes) - set(classes))
    matched = val.only(classes)
    if not matched.images:
        raise DataError(
            f"{val.root} has the classes {_few(foreign)}, but {trained} has {_few(sorted(classes))}: none is the same"
        )
    if foreign:
        count = len(val.images) - len(matched.images)
        text = f"warning: {count:,} images in {val.root} are left out, because {trained} lacks their classes"
        print_stdout(f"{text}: {_few(foreign)}")
    if lacking:
        text = f"{val.root} has no images of {len(lacking):,} of the {len(classes):,} classes of {trained}"
        print_stdout(f"{text}: {_few(lacking)}")
    return matched


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")
