"""The benchmark of packing: what its JSON promises, and that nothing is left of it."""

import json
from pathlib import Path

import pytest

from benchmarks import preprocess
from benchmarks.photographs import draw_photographs


def test_json_has_what_is_promised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_photographs(tmp_path / "pictures", 2)
    (tmp_path / "scratch").mkdir()
    folders = ["--images", str(tmp_path / "pictures"), "--scratch", str(tmp_path / "scratch")]
    sizes = ["--count", "20", "--peer_count", "2", "--workers", "1", "--rounds", "2", "--img_size", "32"]
    assert preprocess.main([*folders, *sizes, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["name"] for row in told["rows"]] == [
        "make_hkl, 1 core",
        "Pillow: open, resize, numpy",
        "simplejpeg: decoding alone",
    ]
    assert told["rows"][1]["ratio"] == 1
    assert all(row["unit"] == "images/s" and row["low"] > 0 for row in told["rows"])
    assert told["notes"]["images per CPU second, make_hkl, 1 core"] > 0
    assert not any((tmp_path / "scratch").iterdir())
