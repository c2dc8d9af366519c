"""The toy data set: always the same files, and only the outline distinguishes the classes."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.errors import DataError
from lib.packing import draw_toy_images
from lib.packing.draw_toy_images import draw, main
from lib.packing.toy_images import draw_image
from lib.packing.toy_outlines import OUTLINES, wnid
from tests.support.scripts import ROOT
from tests.support.tiny_tree import group_is_gone, wait_for

CLASSES = range(len(OUTLINES))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def image_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*/*.JPEG"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "drawn"
    draw(folder, train_images=103, val_images=20, seed=1, processes=1)
    return folder


def test_two_processes_draw_the_same_bytes_as_one(drawn: Path, tmp_path: Path) -> None:
    draw(tmp_path / "again", train_images=103, val_images=20, seed=1, processes=2)
    assert contents(tmp_path / "again") == contents(drawn)


def test_another_seed_split_class_or_number_gives_another_image() -> None:
    keys = [(1, "train", 0, 0), (2, "train", 0, 0), (1, "val", 0, 0), (1, "train", 1, 0), (1, "train", 0, 1)]
    assert len({draw_image(*key).tobytes() for key in keys}) == len(keys)


def test_classes_are_balanced_and_named(drawn: Path) -> None:
    count = Counter(path.parent.name for path in image_files(drawn) if path.parts[-3] == "train")
    assert [count[wnid(i)] for i in CLASSES] == [11, 11, 11, 10, 10, 10, 10, 10, 10, 10]
    assert len(image_files(drawn / "val" / "..")) == 123
    words = dict(line.split(maxsplit=1) for line in (drawn / "words.txt").read_text().splitlines())
    assert words == {wnid(i): name for i, name in enumerate(OUTLINES)}
    assert words.keys() == count.keys()


def test_sizes_and_aspects_vary_and_some_images_are_gray(drawn: Path) -> None:
    sizes, modes = [], set()
    for path in image_files(drawn):
        with Image.open(path) as image:
            sizes.append(image.size)
            modes.add(image.mode)
    assert all(120 <= side <= 400 for size in sizes for side in size)
    assert len(set(sizes)) > 100
    assert {width > height for width, height in sizes} == {True, False}
    assert modes == {"RGB", "L"}


def test_an_interrupted_drawing_is_completed(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, str, int, int]] = []
    most = 9

    def count(*key: *tuple[int, str, int, int]) -> Image.Image:
        if len(calls) == most:
            raise OSError("no space left on device")
        calls.append(key)
        return draw_image(*key)

    folder = tmp_path / "toy"
    monkeypatch.setattr(draw_toy_images, "draw_image", count)
    with pytest.raises(OSError, match="no space"):
        draw(folder, train_images=103, val_images=20, seed=1, processes=1)
    assert len(image_files(folder)) == 9
    assert not (folder / "drawn.json").exists()

    most = 1000
    draw(folder, train_images=103, val_images=20, seed=1, processes=1)
    assert len(calls) == len(set(calls)) == 123
    assert contents(folder) == contents(drawn)


def test_a_finished_drawing_is_not_changed(drawn: Path) -> None:
    written = {path: path.stat().st_mtime_ns for path in drawn.rglob("*.JPEG")}
    draw(drawn, train_images=103, val_images=20, seed=1)
    assert {path: path.stat().st_mtime_ns for path in drawn.rglob("*.JPEG")} == written


def test_a_failed_drawing_process_is_reported(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "toy").mkdir()
    draw_toy_images._claim(tmp_path / "toy", draw_toy_images._parameters({"train": 90, "val": 10}, 1, 10))
    (tmp_path / "toy" / "train" / wnid(3) / f".{wnid(3)}_4.JPEG.partial").mkdir(parents=True)  # in the way
    with pytest.raises(DataError, match="1 of 2 drawing processes"):
        draw(tmp_path / "toy", train_images=90, val_images=10, seed=1, processes=2)
    assert "IsADirectoryError" in capfd.readouterr().err


DRAWING = """
from pathlib import Path
from lib.packing.settings import Settings
from lib.packing.toy import draw_toy_images
draw_toy_images(Settings(tar_root_dir=Path("{folder}"), toy=True, train_images=9000))
"""


def test_drawing_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """The script and its processes end, however the process that started the script ends."""
    command = [sys.executable, "-c", DRAWING.format(folder=tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    wait_for(lambda: any(tmp_path.glob("toy_images/train/*/*.JPEG")))
    process.kill()
    process.wait()
    wait_for(lambda: group_is_gone(process.pid), 5)


@pytest.mark.parametrize("other", [{"seed": 2}, {"train_images": 104}, {"val_images": 21}, {"classes": 9}])
def test_another_drawing_is_refused(drawn: Path, other: dict[str, int]) -> None:
    before = contents(drawn)
    with pytest.raises(DataError, match=r"another drawing.*name another folder"):
        draw(drawn, **{"train_images": 103, "val_images": 20, "seed": 1, **other})
    assert contents(drawn) == before


def test_a_folder_with_other_files_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "holiday.jpg").touch()
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path} holds files that were not drawn")


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one image of each"):
        draw(tmp_path / "toy", train_images=9, val_images=20, seed=1)
    assert not (tmp_path / "toy").exists()


def test_colors_do_not_reveal_the_class() -> None:
    """The mean colors of the classes differ no more than those of random samples."""
    means = np.array(
        [
            [np.asarray(draw_image(3, "train", c, n).convert("RGB")).mean(axis=(0, 1)) for n in range(40)]
            for c in CLASSES
        ]
    )  # (class, image, RGB)
    spread_of_images = means.std(axis=1).mean(axis=0)
    spread_of_classes = means.mean(axis=1).std(axis=0)
    assert (spread_of_classes < 0.35 * spread_of_images).all()
