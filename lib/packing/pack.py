"""Make a whole data set, as preprocessing/generate_data.sh does in a clone."""

from collections.abc import Callable

from .make_hkl import make_hkl
from .make_labels import make_labels
from .make_train_val_txt import make_train_val_txt
from .settings import Settings

STEPS: tuple[Callable[[Settings], None], ...] = (make_hkl, make_train_val_txt, make_labels)


def pack(settings: Settings) -> None:
    """Pack the images that ``settings`` name, name their classes, and write their labels. Raises UserError."""
    for step in STEPS:
        step(settings)
