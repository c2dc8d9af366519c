"""The benchmark of the loader: its JSON, the images of all contenders, and its error for a dead loader."""

import json
import os
import signal
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import feed, feed_jpeg
from benchmarks.feed_peers import ByDataLoader, by_hickle
from benchmarks.feeding import feeding
from benchmarks.ours import configuration
from benchmarks.packed import batch_files, pack_noise
from lib.errors import PeerLost

TINY = ["--model.name", "tiny"]
CPU = torch.device("cpu")


def keys(folder: Path) -> list[str]:
    return ["--data.source", "hickle", "--data.dir", str(folder / "data"), "--batch_size", "8", *TINY]


def test_json_has_the_documented_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--images", "32", "--batch_size", "8", "--img_size", "32", "--workers", "0", "--rounds", "2"]
    assert feed.main([*sizes, "--scratch", str(tmp_path), "--cold", "--json", "--", *TINY]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["name"] for row in result["rows"]] == [
        "loader",
        "hickle.load, pageable copy",
        "torch DataLoader, 0 workers",
    ]
    assert all(row["unit"] == "images/s" and row["low"] > 0 for row in result["rows"])
    assert 0 <= result["notes"]["cores that the loader keeps busy"] < 8
    assert 10 < result["notes"]["MB of the loader's own memory"] < 200
    assert not any(tmp_path.iterdir())


def test_the_torchnet_benchmark_has_all_published_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--images", "256", "--img_size", "32", "--rounds", "1", "--scratch", str(tmp_path)]
    assert feed.main([*sizes, "--torchnet", "--json", "--", *TINY]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    cases = [row["case"] for row in result["rows"] if row["name"] == "ours"]
    assert cases == [
        *(f"cifar10, {split}, memory" for split in ("train", "val")),
        *(f"imagenet, {split}, {where}" for split in ("train", "val") for where in ("disk", "memory")),
    ]
    assert all(row["unit"] == "s" and row["low"] > 0 for row in result["rows"])


def test_photographs_are_brought_by_all_ways_that_are_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_jpeg, "has_torchvision", lambda: False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "photographs").mkdir()
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photographs" / f"{number}.jpg")
    sizes = ["--images", "8", "--batch_size", "4", "--img_size", "32", "--rounds", "1", "--workers", "0"]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    where = ["--from", "jpeg", "--data", str(tmp_path / "photographs"), "--scratch", str(scratch)]
    assert feed.main([*sizes, *where, "--json", "--", *TINY]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["name"] for row in result["rows"]] == ["loader", "torch DataLoader, Pillow, 0 workers"]
    assert all(row["low"] > 0 for row in result["rows"])
    assert not any(scratch.iterdir())


def test_every_contender_reads_every_image(tmp_path: Path) -> None:
    pack_noise(tmp_path / "data", train=24, val=1, img_size=32, file_batch_size=16)
    files = batch_files(tmp_path / "data", "train")
    with feeding(configuration(keys(tmp_path)), CPU, whole_images=True) as fed:
        ours = torch.cat([batch.images_BHWC.clone() for batch in islice(fed.feed, 3)])
    theirs = torch.cat(list(islice(by_hickle(files, CPU), 2)))
    loaded = torch.cat(list(ByDataLoader(files, batch_size=8, images=24, workers=0, device=CPU)))
    every = sorted(image.tobytes() for image in theirs.numpy())
    assert sorted(image.tobytes() for image in ours.numpy()) == every
    assert sorted(image.tobytes() for image in loaded.numpy()) == every
    assert theirs.shape == (24, 32, 32, 3)
    assert np.ptp(theirs.numpy()) > 250  # noise, not zeros


def test_a_dead_loader_is_reported(tmp_path: Path) -> None:
    pack_noise(tmp_path / "data", train=8, val=1, img_size=32)
    with feeding(configuration(keys(tmp_path)), CPU) as fed:
        os.kill(fed.pid, signal.SIGKILL)
        with pytest.raises(PeerLost, match="the loader ended with status -9"):
            list(islice(fed.feed, 9))
