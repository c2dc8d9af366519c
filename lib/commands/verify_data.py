"""validate_data.py: check that every byte of a packed data set is what was packed."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tqdm import tqdm

from ..data.packed.batch_file import verify_batch_file
from ..data.packed.layout import Layout, layout
from ..data.packed.manifest import Manifest, read_manifest
from ..data.packed.metadata import read_classes, read_labels, read_mean
from ..data.sources.registry import source_name
from ..data.worker_count import readers
from ..errors import ConfigError, DataError
from ..types import SPLITS
from .configuration import parse_config
from .report_errors import report_errors

_KEYS = ("data.source", "data.dir", "data.misc_dir", "data.readers")


@report_errors
def verify_data(description: str, spec: Path) -> int:
    """Run validate_data.py. Returns the exit status, 2 if a file is damaged or missing."""
    config, _ = parse_config(sys.argv[1:], description=description, spec=spec, usual=_KEYS)
    if (source := source_name(config.data)) != "hickle":
        raise ConfigError(f"data.source is {source}; only packed data sets (hickle) have checksums")
    at = layout(config.data.dir, config.data.misc_dir)
    manifest = read_manifest(at)
    n_files = sum(len(manifest.split(split).files) for split in SPLITS)
    images = f"{manifest.train.count:,} training and {manifest.val.count:,} validation images in {n_files:,} files"
    print(f"{at.dir}: {images}, manifest {'intact' if manifest.has_checksum else 'without a checksum'}", flush=True)
    n_errors = 0
    for error in find_errors(at, manifest, threads=readers(config.data.readers)):
        tqdm.write(f"bad: {error}", file=sys.stdout)
        n_errors += 1
    print(f"{n_errors} bad, see above" if n_errors else "intact: labels, mean image and every batch file")
    return 2 if n_errors else 0


def find_errors(at: Layout, manifest: Manifest, *, threads: int) -> Iterator[DataError]:
    """Yield an error for every missing or damaged file, which names the file and the fix."""
    checks: list[Callable[[], object]] = [partial(read_labels, at, manifest, split) for split in SPLITS]
    checks += [partial(read_mean, at, manifest), partial(read_classes, at)]
    yield from filter(None, map(_error, checks))
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
        errors = pool.map(_error, (partial(verify_batch_file, path, file) for path, file in files))
        for (_, file), error in zip(files, errors, strict=True):
            bar.update(file.bytes)
            if error:
                yield error


def _error(check: Callable[[], object]) -> DataError | None:
    try:
        check()
    except DataError as error:
        return error
    return None
