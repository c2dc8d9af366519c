"""List and read the images of a folder or of a tar file."""

import os
from pathlib import Path

from ..data.images.listing import ImageFile, ImageList, image_list, list_images
from ..errors import DataError
from ..system.regular_file import open_regular
from .tar_index import tar_index


def list_folder_or_tar(root: Path, cache_dir: Path) -> ImageList:
    """List every image under ``root``, a folder or an uncompressed tar file, whose index is cached in ``cache_dir``.

    Raises DataError as ``list_images`` does, and if the tar cannot be read.
    """
    if root.is_dir():
        return list_images(root)
    if not root.is_file():
        raise DataError(f"{root} does not exist; name a folder of images or a tar file")
    return image_list(root, (ImageFile(*member) for member in tar_index(root, cache_dir)))


def read_image(root: Path, entry: ImageFile) -> bytes:
    """Return the encoded bytes of one image. Raises DataError if they cannot be read or their number has changed."""
    path = root / entry.name if entry.offset is None else root
    try:
        with open_regular(path) as file:
            data = os.pread(file.fileno(), entry.bytes, entry.offset) if entry.offset else file.readall()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(data) != entry.bytes:
        raise DataError(
            f"{path} has changed since it was listed: {entry.name} had {entry.bytes} bytes, now {len(data)}"
        )
    return data
