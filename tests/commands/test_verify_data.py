"""What validate_data.py finds in a packed data set."""

import sys
from pathlib import Path

import msgspec
import pytest

from lib.commands.verify_data import verify_data
from lib.data.packed.layout import layout
from tests.support.scripts import ROOT


def run_verify_data(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["validate_data.py", *map(str, arguments)])
    return verify_data("", ROOT / "spec_1gpu.yaml")


def flip_a_byte(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 16
    path.write_bytes(content)


def test_an_intact_data_set_passes(
    data_set: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_verify_data(monkeypatch, "--data.dir", data_set) == 0
    out = capsys.readouterr().out
    assert "48 training and 20 validation images in 5 files, manifest intact\n" in out
    assert out.endswith("intact: labels, mean image and every batch file\n")


def test_each_bad_file_is_named_with_its_fix(
    data_set: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = layout(data_set)
    flip_a_byte(at.mean, 300)
    flip_a_byte(at.labels("val"), 140)
    at.batch_file("train", 16, 1).unlink()
    flip_a_byte(at.batch_file("train", 16, 2), 10)
    flip_a_byte(at.batch_file("val", 16, 1), -1)
    assert run_verify_data(monkeypatch, "--data.dir", data_set, "--data.readers", 3) == 2
    wrong, again = "is damaged (its checksum is not the manifest's)", "run preprocessing/generate_data.sh again"
    header = "is damaged (its header is not the one that was packed)"
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"bad: {at.labels('val')} {wrong}; delete it and run preprocessing/make_labels.py again",
        f"bad: {at.mean} {wrong}; delete it and {again}",
        f"bad: {at.batch_file('train', 16, 1)} is missing; {again}",
        f"bad: {at.batch_file('train', 16, 2)} {header}; delete it and {again}",
        f"bad: {at.batch_file('val', 16, 1)} {wrong}; delete it and {again}",
        "5 bad, see above",
    ]


def test_a_manifest_without_a_checksum_is_accepted_and_reported(
    data_set: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = layout(data_set)
    manifest = msgspec.json.decode(at.manifest.read_bytes())
    del manifest["crc32"]
    at.manifest.write_bytes(msgspec.json.encode(manifest))
    assert run_verify_data(monkeypatch, "--data.dir", data_set) == 0
    assert "in 5 files, manifest without a checksum" in capsys.readouterr().out


def test_sources_without_checksums_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_verify_data(monkeypatch, "--data.source", "synthetic") == 2
    assert capsys.readouterr().err == (
        "error: data.source is synthetic; only packed data sets (hickle) have checksums\n"
    )
