"""Is the data set whole? Asked once, before any process is started, so that the answer is one clear line."""

from lib.data.packed.batch_file import pixel_offset
from lib.data.packed.layout import Layout, Manifest, read_classes, read_labels, read_mean
from lib.errors import DataError
from lib.types import SPLITS, Split


def check_data(at: Layout, manifest: Manifest) -> None:
    """Every file that ``manifest`` names is there, is what it should be, and has its labels.

    Raises DataError, naming the first file that is not. Reads headers, not pixels.
    """
    for split in SPLITS:
        if manifest.split(split).count == 0:
            raise DataError(f"{at.manifest}: there are no {split} images")
        _check_files(at, manifest, split)
        read_labels(at, manifest, split)
    read_mean(at, manifest)
    n_classes = len(read_classes(at))
    if n_classes != manifest.n_classes:
        raise DataError(f"{at.classes} has {n_classes} classes, the manifest {manifest.n_classes}")


def _check_files(at: Layout, manifest: Manifest, split: Split) -> None:
    folder = at.batch_dir(split, manifest.file_batch_size)
    missing = [file.name for file in manifest.split(split).files if not (folder / file.name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(manifest.split(split).files)} files are missing from {folder}, the first "
            f"is {missing[0]}; run preprocessing/generate_data.sh to make them again"
        )
    for file in manifest.split(split).files:
        path = folder / file.name
        size = path.stat().st_size
        if size != file.bytes:
            raise DataError(
                f"{path} has {size} bytes where the manifest says {file.bytes}; delete it and run "
                "preprocessing/generate_data.sh to make it again"
            )
        pixel_offset(path, (file.count, manifest.img_size, manifest.img_size, 3))
