"""Is there room on the disk? Asked before a day's work, not after."""

import shutil
from pathlib import Path

from lib.errors import DataError

FILE_OVERHEAD = 8 * 1024  # the header of a batch file, rounded up to whole disk blocks


def bytes_needed(n_images: int, img_size: int, file_batch_size: int) -> int:
    """What batch files of that many images take."""
    n_files = -(-n_images // file_batch_size)
    return n_images * img_size * img_size * 3 + n_files * FILE_OVERHEAD


def check_space(folder: Path, needed: int) -> str:
    """Says what is needed and what is free. Raises DataError when it does not fit."""
    free = shutil.disk_usage(folder).free
    figures = f"needs {amount(needed)}, {amount(free)} free in {folder}"
    if needed > free:
        raise DataError(
            f"not enough disk space: {figures}; make room, name another disk's folder with --tar_root_dir, "
            "or make the pictures smaller with --img_size"
        )
    return figures


def amount(n_bytes: float) -> str:
    """For people: 252 GB, 1.2 TB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"
