"""validate_data.py: check that every byte of a packed data set is what was packed."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from lib.commands.configuration import parse_config
from lib.commands.report_errors import report_errors
from lib.config.schema import Config
from lib.data.packed.batch_file import verify_batch_file
from lib.data.packed.layout import Layout, layout
from lib.data.packed.manifest import BatchFile, Manifest, read_manifest
from lib.data.packed.metadata import read_classes, read_labels, read_mean
from lib.errors import ConfigError, DataError
from lib.types import SPLITS


def verify_data(description: str, spec: Path) -> int:
    """Run validate_data.py. Returns the exit status, 2 if a file is damaged or missing."""

    def main() -> int:
        config, _ = parse_config(sys.argv[1:], description=description, spec=spec)
        refuse_other_sources(config)
        at = layout(config.data.dir, config.data.misc_dir)
        manifest = read_manifest(at)
        n_files = sum(len(manifest.split(split).files) for split in SPLITS)
        images = f"{manifest.train.count:,} training and {manifest.val.count:,} validation images in {n_files:,} files"
        print(f"{at.dir}: {images}, manifest {'intact' if manifest.has_checksum else 'without a checksum'}", flush=True)
        n_errors = 0
        for error in find_errors(at, manifest, threads=config.data.readers):
            tqdm.write(f"bad: {error}", file=sys.stdout)
            n_errors += 1
        print(f"{n_errors} bad, see above" if n_errors else "intact: labels, mean image and every batch file")
        return 2 if n_errors else 0

    return report_errors(main)


def refuse_other_sources(config: Config) -> None:
    """Raise ConfigError for a source without checksums."""
    if config.data.source != "hickle":
        raise ConfigError(f"data.source is {config.data.source}; only packed data sets (hickle) have checksums")


def find_errors(at: Layout, manifest: Manifest, *, threads: int) -> Iterator[DataError]:
    """Yield an error for every missing or damaged file, which names the file and the fix."""
    for check in (
        lambda: read_labels(at, manifest, "train"),
        lambda: read_labels(at, manifest, "val"),
        lambda: read_mean(at, manifest),
        lambda: read_classes(at),
    ):
        try:
            check()
        except DataError as error:
            yield error
    files = [
        (at.batch_dir(split, manifest.file_batch_size) / file.name, file)
        for split in SPLITS
        for file in manifest.split(split).files
    ]
    total = sum(file.bytes for _, file in files)
    with (
        ThreadPoolExecutor(threads, "verifier") as pool,
        tqdm(total=total, unit="B", unit_scale=True, disable=None) as bar,  # shown on a terminal only
    ):
        for (_, file), damage in zip(files, pool.map(_error, *zip(*files, strict=True)), strict=True):
            bar.update(file.bytes)
            if damage:
                yield damage


def _error(path: Path, packed: BatchFile) -> DataError | None:
    try:
        verify_batch_file(path, packed)
    except DataError as error:
        return error
    return None
