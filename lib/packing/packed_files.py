"""Find what exists of a data set: by its manifest or, while it is being made, by its journal."""

from dataclasses import dataclass, field

from ..data.packed.layout import Layout
from ..data.packed.manifest import BatchFile, Manifest
from ..errors import DataError, reading
from ..types import Split
from .journal import Journal, Skipped
from .sources import SourceList


@dataclass
class PackedSplit:
    """The batch files of one split in order, those that must be made again, and the skipped images."""

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

    def n_left(self, source: SourceList) -> int:
        """Return the number of images that must still be decoded."""
        again = sum(file.source_stop - file.source_start for file in self.missing)
        return again + len(source.entries) - self.next_entry


def find_packed(
    at: Layout, file_batch_size: int, split: Split, manifest: Manifest | None, journal: Journal
) -> PackedSplit:
    """Return what the manifest or the journal records. Files that are gone or have another size are ``missing``."""
    if manifest is not None:
        packed = PackedSplit(list(manifest.split(split).files), _read_skipped(at, manifest, split))
    else:
        entries = [entry for entry in journal.finished if entry.split == split]
        packed = PackedSplit([entry.file for entry in entries], [one for entry in entries for one in entry.skipped])
    folder = at.batch_dir(split, file_batch_size)
    for file in packed.files:
        path = folder / file.name
        if not path.is_file() or path.stat().st_size != file.bytes:
            packed.missing.append(file)
    return packed


def lists_exist(at: Layout) -> bool:
    """Return whether everything exists that is written after the batch files."""
    paths = (at.mean, at.skipped, at.filenames("train"), at.filenames("val"))
    return all(path.exists() for path in paths)


def _read_skipped(at: Layout, manifest: Manifest, split: Split) -> list[Skipped]:
    fix = f"restore it, or delete {at.dir} to make all of it again"
    with reading(at.skipped, DataError, fix):
        lines = at.skipped.read_text("utf-8").splitlines() if at.skipped.exists() else []
        if len(lines) != manifest.skipped:
            raise DataError(f"{at.skipped} names {len(lines)} images, but {manifest.skipped} were skipped; {fix}")
        return [Skipped(split, *line.split("\t")[1:]) for line in lines if line.startswith(f"{split}\t")]
