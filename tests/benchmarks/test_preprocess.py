"""The benchmark of packing: its JSON, and that it leaves no files behind."""

import json
from pathlib import Path

import pytest

from benchmarks import preprocess
from benchmarks.photographs import draw_photographs


def test_json_has_the_documented_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_photographs(tmp_path / "images", 2)
    (tmp_path / "scratch").mkdir()
    folders = ["--images", str(tmp_path / "images"), "--scratch", str(tmp_path / "scratch")]
    sizes = ["--count", "20", "--peer_count", "2", "--workers", "1", "--rounds", "2", "--img_size", "32"]
    assert preprocess.main([*folders, *sizes, "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["name"] for row in result["rows"]] == [
        "make_hkl, 1 core",
        "Pillow: open, resize, numpy",
        "simplejpeg: decoding alone",
    ]
    assert result["rows"][1]["ratio"] == 1
    assert all(row["unit"] == "images/s" and row["low"] > 0 for row in result["rows"])
    assert result["notes"]["images per CPU second, make_hkl, 1 core"] > 0
    assert not any((tmp_path / "scratch").iterdir())
