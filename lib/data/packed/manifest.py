"""The manifest of a packed data set: what it holds, and what it was made from."""

import hashlib
import zlib
from typing import Literal

import msgspec

from ...errors import DataError, reading
from ...types import SPLITS, Split
from .layout import Layout

FORMAT = 1


class BatchFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One file of ``count`` images, made from entries ``source_start`` to ``source_stop`` of the source list."""

    name: str
    count: int
    bytes: int
    crc32: int
    """of all bytes of the file"""
    source_start: int
    source_stop: int
    offset: int = 0
    """byte at which the pixels begin; 0: unknown, as older versions did not record it"""
    header_crc32: int = 0
    """of the bytes before the pixels"""


class SplitManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The batch files of one split."""

    files: tuple[BatchFile, ...]
    labels_crc32: int | None = None
    """of all bytes of the labels file; None until the labels are made"""

    @property
    def count(self) -> int:
        """Images in this split."""
        return sum(file.count for file in self.files)


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a complete data set holds, and what it was made from."""

    format: int = FORMAT
    img_size: int
    file_batch_size: int
    resize: Literal["squash", "crop"]
    seed: int
    n_classes: int
    source_fingerprint: str
    mean_crc32: int
    skipped: int
    train: SplitManifest
    val: SplitManifest
    crc32: int | msgspec.UnsetType = msgspec.UNSET
    """of the manifest without this field, as msgspec encodes it; manifests of older versions have none"""

    def split(self, name: Split) -> SplitManifest:
        """Return the batch files of one split."""
        return self.train if name == "train" else self.val

    def with_files(self, files: dict[Split, tuple[BatchFile, ...]]) -> "Manifest":
        """Return a copy with other batch files and without a checksum."""
        train, val = (msgspec.structs.replace(self.split(split), files=files[split]) for split in SPLITS)
        return msgspec.structs.replace(self, train=train, val=val, crc32=msgspec.UNSET)

    @property
    def has_offsets(self) -> bool:
        """Whether it records where the pixels of every file begin."""
        return all(file.offset for split in SPLITS for file in self.split(split).files)

    @property
    def fingerprint(self) -> str:
        """Identifies the content of the data set: equal for equal images in equal order.

        Offsets and checksums of headers are left out: they were added later, and checkpoints record the fingerprint.
        """

        def without_offsets(split: Split) -> tuple[BatchFile, ...]:
            return tuple(msgspec.structs.replace(file, offset=0, header_crc32=0) for file in self.split(split).files)

        plain = self.with_files({split: without_offsets(split) for split in SPLITS})
        return hashlib.sha256(msgspec.json.encode(plain)).hexdigest()[:16]

    @property
    def has_checksum(self) -> bool:
        """Whether the manifest has a checksum of itself."""
        return self.crc32 is not msgspec.UNSET

    def with_checksum(self) -> "Manifest":
        """Return a copy with the checksum of this manifest."""
        content = msgspec.json.encode(msgspec.structs.replace(self, crc32=msgspec.UNSET))
        return msgspec.structs.replace(self, crc32=zlib.crc32(content))


def read_manifest(at: Layout) -> Manifest:
    """Return the manifest of ``at``. Raises DataError if it is missing, damaged, or of another format."""
    if not at.dir.is_dir():
        raise DataError(
            f"data folder {at.dir} does not exist; make one with preprocessing/generate_data.sh "
            "(or generate_toy_data.sh), or name yours with --data.dir"
        )
    if not at.manifest.exists():
        raise DataError(
            f"{at.manifest} is missing, so {at.dir} holds no complete data set; "
            "run preprocessing/generate_data.sh (it continues where it stopped)"
        )
    with reading(at.manifest, DataError, _FIX):
        manifest = msgspec.json.decode(at.manifest.read_bytes(), type=Manifest)
    if manifest.format != FORMAT:
        raise DataError(f"{at.manifest} has format {manifest.format}; this version reads format {FORMAT}")
    if manifest.has_checksum and manifest != manifest.with_checksum():
        raise DataError(f"{at.manifest} is damaged (its checksum is wrong); {_FIX}")
    return manifest


_FIX = "put a copy of it back, or delete it and run preprocessing/generate_data.sh, which then packs every image again"
