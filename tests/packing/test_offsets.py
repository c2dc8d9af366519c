"""Where the pixels begin in a batch file: found once with HDF5's library, when the file is packed or later."""

import zlib
from pathlib import Path
from typing import Any

import h5py
import hickle
import msgspec
import numpy as np
import pytest

from lib.config.schema import DataConfig
from lib.data.packed.layout import Layout, layout
from lib.data.packed.manifest import Manifest, read_manifest
from lib.data.sources.hickle_folder import HICKLE
from lib.errors import DataError
from lib.packing.add_offsets import main
from lib.packing.make_hkl import make_hkl
from lib.packing.offsets import locate_pixels
from lib.types import SPLITS
from tests.support.data_sets import write_data_set
from tests.support.tiny_tree import contents, make_tree, settings_for

SHAPE = (3, 8, 8, 3)


@pytest.mark.parametrize("count", [1, 3, 256])
@pytest.mark.parametrize("libver", [None, "v108", "latest", "hickle"])
def test_the_pixels_are_where_the_offset_says(tmp_path: Path, count: int, libver: Any) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    path = tmp_path / "00000.hkl"
    if libver == "hickle":
        hickle.dump(images, path, mode="w")
    else:
        with h5py.File(path, "w", libver=libver) as file:
            file["data"] = images
    offset, header_crc32 = locate_pixels(path, (count, 8, 8, 3))
    content = path.read_bytes()
    assert content[offset : offset + images.nbytes] == images.tobytes()
    assert zlib.crc32(content[:offset]) == header_crc32


def write_other(path: Path, kind: str) -> None:
    if kind == "text":
        path.write_text("this is not an HDF5 file" * 1000)
        return
    with h5py.File(path, "w") as file:
        match kind:
            case "float":
                file["data"] = np.zeros(SHAPE, np.float32)
            case "shape":
                file["data"] = np.zeros((3, 3, 8, 8), np.uint8)
            case "name":
                file["images"] = np.zeros(SHAPE, np.uint8)
            case "group":
                file.create_group("data")
            case "compressed":
                file.create_dataset("data", data=np.zeros(SHAPE, np.uint8), compression="gzip")
            case "external":
                file.create_dataset("data", SHAPE, np.uint8, external=[("/etc/passwd", 0, 576)])


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("text", "is damaged .*; put it back, or pack the images again"),
        ("float", "holds float32"),
        ("shape", r"holds uint8 \(3, 3, 8, 8\) where uint8 \(3, 8, 8, 3\) should be"),
        ("name", "it has no dataset 'data'"),
        ("group", "it has no dataset 'data'"),
        ("compressed", "is chunked, compressed or external"),
        ("external", "is chunked, compressed or external"),
        ("missing", "is missing; put it back"),
    ],
)
def test_a_file_whose_pixels_are_not_in_one_piece_is_refused(tmp_path: Path, kind: str, says: str) -> None:
    path = tmp_path / "00000.hkl"
    if kind != "missing":
        write_other(path, kind)
    with pytest.raises(DataError, match=says) as error:
        locate_pixels(path, SHAPE)
    assert str(error.value).startswith(str(path))


def without_offsets(at: Layout, *, checksum: bool = True) -> Manifest:
    """Write the manifest as an older version did."""
    manifest = read_manifest(at)
    older = manifest.with_files(
        {
            split: tuple(
                msgspec.structs.replace(file, offset=0, header_crc32=0) for file in manifest.split(split).files
            )
            for split in SPLITS
        }
    )
    at.manifest.write_bytes(msgspec.json.encode(older.with_checksum() if checksum else older))
    assert b"offset" not in at.manifest.read_bytes()
    return manifest


@pytest.mark.parametrize("checksum", [True, False])
def test_an_older_data_set_gets_its_offsets_from_the_command_that_the_error_names(
    tmp_path: Path, checksum: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    at = write_data_set(tmp_path / "data")
    manifest = without_offsets(at, checksum=checksum)
    config = DataConfig(dir=at.dir)
    with pytest.raises(DataError, match=rf"run python -m preprocessing\.add_offsets {at.dir} once$"):
        HICKLE.describe(config)
    assert main([str(at.dir)]) == 0
    assert capsys.readouterr().out == f"{at.manifest}: added the offsets of 5 batch files\n"
    assert read_manifest(at) == manifest
    assert HICKLE.describe(config).fingerprint == manifest.fingerprint
    written = at.manifest.stat().st_mtime_ns
    assert main([str(at.dir)]) == 0
    assert capsys.readouterr().out == f"{at.manifest} has all offsets\n"
    assert at.manifest.stat().st_mtime_ns == written


def test_the_error_names_a_misc_dir_outside_the_data_set(tmp_path: Path) -> None:
    at = write_data_set(tmp_path / "data")
    without_offsets(at)
    at.misc.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=rf"add_offsets {at.dir} --misc_dir {tmp_path}/elsewhere once$"):
        HICKLE.describe(DataConfig(dir=at.dir, misc_dir=tmp_path / "elsewhere"))
    assert main([str(at.dir), "--misc_dir", str(tmp_path / "elsewhere")]) == 0
    assert read_manifest(layout(at.dir, tmp_path / "elsewhere")).has_offsets


@pytest.mark.parametrize("damage", ["missing", "short", "other"])
def test_no_offsets_are_added_for_files_that_are_not_those_of_the_manifest(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    at = write_data_set(tmp_path / "data")
    without_offsets(at)
    path = at.batch_file("val", 16, 0)
    size = path.stat().st_size
    path.unlink()
    if damage == "short":
        path.write_bytes(b"x")
    elif damage == "other":
        path.write_bytes(b"x" * size)
    before = at.manifest.read_bytes()
    assert main([str(at.dir)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {path} is ")
    assert at.manifest.read_bytes() == before


def test_a_lost_file_of_an_older_data_set_is_made_again_as_it_was(tmp_path: Path) -> None:
    settings = settings_for(make_tree(tmp_path / "tree", train=4, val=2), tmp_path / "out")
    make_hkl(settings)
    at = settings.layout
    without_offsets(at)
    before = contents(at.dir)
    at.batch_file("train", 8, 0).unlink()
    make_hkl(settings)
    assert contents(at.dir) == before
