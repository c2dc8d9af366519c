"""Check the free space on the disk before the work begins."""

import shutil
from pathlib import Path

from ..errors import DataError

FILE_OVERHEAD = 8 * 1024  # header of a batch file, rounded up to whole disk blocks


def bytes_needed(n_images: int, img_size: int, file_batch_size: int) -> int:
    """Return the bytes that batch files of ``n_images`` images take."""
    n_files = -(-n_images // file_batch_size)
    return n_images * img_size * img_size * 3 + n_files * FILE_OVERHEAD


def check_space(folder: Path, needed: int) -> str:
    """Return a text with the needed and the free space. Raises DataError if there is too little."""
    free = shutil.disk_usage(folder).free
    space = f"needs {amount(needed)}, {amount(free)} free in {folder}"
    if needed > free:
        raise DataError(
            f"not enough disk space: {space}; make room, name another disk's folder with --tar_root_dir, "
            "or make the images smaller with --img_size"
        )
    return space


def amount(n_bytes: float) -> str:
    """Return a size for people: 252 GB, 1.2 TB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"
