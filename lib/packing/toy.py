"""Draw the images of a toy data set that has no real ones."""

import os
import subprocess

from ..errors import DataError
from ..system.python_module import module_command, module_environment
from ..types import SPLITS
from .settings import Settings


def draw_toy_images(settings: Settings) -> None:
    """Draw the images, if the settings ask for it. Raises DataError if the folder holds another data set."""
    folder = settings.drawn_dir
    if folder is None:
        return
    if settings.layout.recipe.exists() and not folder.exists():
        raise DataError(
            f"{settings.tar_root_dir} holds a data set of other images, which the toy one must not "
            "overwrite it; name another folder with --tar_root_dir"
        )
    counts = [f"--{split}-images={settings.limit(split)}" for split in SPLITS]
    command = [*module_command("packing.draw_toy_images"), str(folder.absolute()), *counts]
    try:
        subprocess.run(
            [*command, f"--seed={settings.seed}", f"--parent={os.getpid()}"], check=True, env=module_environment()
        )
    except subprocess.CalledProcessError as error:
        raise DataError(f"drawing the toy images into {folder} failed (status {error.returncode}, see above)") from None
