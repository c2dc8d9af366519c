"""From a command line to an answer: is every byte of a packed data set what was packed?"""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from lib.config.command_line import parse, report_errors
from lib.config.schema import Config
from lib.data.packed.layout import (
    BatchFile,
    Layout,
    Manifest,
    layout,
    read_classes,
    read_labels,
    read_manifest,
    read_mean,
)
from lib.data.packed.verify import refuse_damaged
from lib.errors import ConfigError, DataError
from lib.types import SPLITS


def validate_data(description: str, spec: Path) -> int:
    """The whole of validate_data.py: the exit status, 2 where a file is damaged or missing."""

    def main() -> int:
        config, _ = parse(sys.argv[1:], description=description, config=spec.with_name("config.yaml"), spec=spec)
        refuse_other_sources(config)
        at = layout(config.data.dir, config.data.misc_dir)
        manifest = read_manifest(at)
        n_files = sum(len(manifest.split(split).files) for split in SPLITS)
        images = f"{manifest.train.count:,} training and {manifest.val.count:,} validation images in {n_files:,} files"
        print(f"{at.dir}: {images}, manifest {'without a checksum' if manifest.is_unsealed else 'whole'}", flush=True)
        n_bad = 0
        for fault in faults(at, manifest, config.data.readers):
            tqdm.write(f"bad: {fault}", file=sys.stdout)
            n_bad += 1
        print(f"{n_bad} bad, see above" if n_bad else "all is whole: labels, mean image and every batch file")
        return 2 if n_bad else 0

    return report_errors(main)


def refuse_other_sources(config: Config) -> None:
    """Raises ConfigError for a data set without checksums."""
    if config.data.source != "hickle":
        raise ConfigError(f"data.source is {config.data.source}; only packed data sets (hickle) have checksums")


def faults(at: Layout, manifest: Manifest, threads: int) -> Iterator[DataError]:
    """Whatever is wrong, with the name of its file and the way to mend it; found by so many threads."""
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
        for (_, file), fault in zip(files, pool.map(_fault, *zip(*files, strict=True)), strict=True):
            bar.update(file.bytes)
            if fault:
                yield fault


def _fault(path: Path, packed: BatchFile) -> DataError | None:
    try:
        refuse_damaged(path, packed)
    except DataError as error:
        return error
    return None
