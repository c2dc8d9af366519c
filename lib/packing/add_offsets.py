"""Add to the manifest of an older data set where the pixels begin in each batch file.

    python -m preprocessing.add_offsets DIR [--misc_dir MISC]

The data set stays the same: checkpoints that were trained on it can be resumed. Running it again changes nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ..data.packed.layout import Layout, layout
from ..data.packed.manifest import BatchFile, Manifest, read_manifest
from ..errors import DataError, UserError
from ..system.program import as_called
from ..types import SPLITS, Split
from .files import lock_folder, write_manifest
from .offsets import locate_pixels


def add_offsets(at: Layout) -> int:
    """Write offsets and the checksum into the manifest. Returns the number of batch files that had none.

    Raises DataError if a file is missing, has another size than the manifest says, or does not hold its images.
    """
    with lock_folder(at.dir):
        manifest = read_manifest(at)
        files = {
            split: tuple(_located(at, manifest, split, file) for file in manifest.split(split).files)
            for split in SPLITS
        }
        located = manifest.with_files(files).with_checksum()
        if located != manifest:
            write_manifest(at, located)
    return sum(file.offset == 0 for split in SPLITS for file in manifest.split(split).files)


def _located(at: Layout, manifest: Manifest, split: Split, file: BatchFile) -> BatchFile:
    if file.offset:
        return file
    path = at.batch_dir(split, manifest.file_batch_size) / file.name
    if not path.is_file() or path.stat().st_size != file.bytes:
        raise DataError(f"{path} is missing or has not {file.bytes:,} bytes; run preprocessing/generate_data.sh again")
    offset, header_crc32 = locate_pixels(path, (file.count, manifest.img_size, manifest.img_size, 3))
    return msgspec.structs.replace(file, offset=offset, header_crc32=header_crc32)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status: 2 for an error of the user or the data."""
    parser = argparse.ArgumentParser(
        prog=as_called("python -m preprocessing.add_offsets"),
        description="Add to the manifest of an older data set where the pixels begin in each batch file.",
    )
    parser.add_argument("dir", type=Path, help="folder of the data set: data.dir of training")
    parser.add_argument("--misc_dir", default="misc", help="folder of its manifest, relative to DIR; default: misc")
    options = parser.parse_args(arguments)
    at = layout(options.dir, options.misc_dir)
    try:
        count = add_offsets(at)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{at.manifest}: added the offsets of {count} batch files" if count else f"{at.manifest} has all offsets")
    return 0


if __name__ == "__main__":
    sys.exit(main())
