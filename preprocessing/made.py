"""What there is of a data set already, by its manifest or, while it is being made, by its journal."""

from dataclasses import dataclass, field

from lib.data.packed.layout import BatchFile, Layout, Manifest
from lib.errors import DataError
from lib.types import SPLITS, Split
from preprocessing.journal import Journal, Skipped
from preprocessing.sources import SourceList


@dataclass
class SplitState:
    """Of one split: its files in order, those of them that must be made again, and the pictures left out."""

    files: list[BatchFile]
    skipped: list[Skipped]
    missing: list[BatchFile] = field(default_factory=list)

    @property
    def next_entry(self) -> int:
        """The first entry of the source list that is in no file yet."""
        return self.files[-1].source_stop if self.files else 0

    @property
    def count(self) -> int:
        """Images in the files."""
        return sum(file.count for file in self.files)

    def left(self, source: SourceList) -> int:
        """How many pictures are still to be decoded."""
        again = sum(file.source_stop - file.source_start for file in self.missing)
        return again + len(source.entries) - self.next_entry


def find_packed(
    at: Layout, file_batch_size: int, split: Split, manifest: Manifest | None, journal: Journal
) -> SplitState:
    """What manifest or journal say there is. A file that is gone or has another size is ``missing``."""
    if manifest is not None:
        made = SplitState(list(manifest.split(split).files), _read_skipped(at, manifest, split))
    else:
        mine = [entry for entry in journal.finished if entry.split == split]
        made = SplitState([entry.file for entry in mine], [one for entry in mine for one in entry.skipped])
    folder = at.batch_dir(split, file_batch_size)
    for file in made.files:
        path = folder / file.name
        if not path.is_file() or path.stat().st_size != file.bytes:
            made.missing.append(file)
    return made


def lists_exist(at: Layout) -> bool:
    """Whether all is there that is written after the batch files."""
    paths = (at.mean, at.skipped, at.filenames("train"), at.filenames("val"))
    return all(path.exists() for path in paths)


def remove_partials(at: Layout, file_batch_size: int) -> None:
    """Take away what a killed run was writing."""
    for folder in [at.misc, *(at.batch_dir(split, file_batch_size) for split in SPLITS)]:
        for left_over in folder.glob(".*.partial"):
            left_over.unlink()


def _read_skipped(at: Layout, manifest: Manifest, split: Split) -> list[Skipped]:
    lines = at.skipped.read_text().splitlines() if at.skipped.exists() else []
    if len(lines) != manifest.skipped:
        raise DataError(
            f"{at.skipped} names {len(lines)} pictures, but {manifest.skipped} were left out; "
            f"put it back as it was, or delete {at.dir} to make all of it anew"
        )
    return [Skipped(split, *line.split("\t")[1:]) for line in lines if line.startswith(f"{split}\t")]
