import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.errors import ConfigError
from lib.evaluation.class_metrics import ClassMetrics, Confusion
from lib.evaluation.confusion_plot import plot_confusion
from lib.evaluation.metrics import Metrics
from lib.evaluation.output_folder import draw_confusion, write_evaluation

NAMES = [("n01", "cat, house cat"), ("n02", "dog"), ("n03", "")]
CLASSES = ClassMetrics(
    images=np.array([3, 1, 0]),
    top1_error=np.array([1 / 3, 0, np.nan]),
    top5_error=np.array([0, 0, np.nan]),
    average_precision=np.array([0.5, 1, np.nan]),
)
CONFUSION = Confusion(
    n_classes=3, labels=np.array([0, 0, 1]), predicted=np.array([0, 1, 1]), counts=np.array([2, 1, 1])
)


def test_the_folder_holds_metrics_classes_and_confusion(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "out", Metrics(1.5, 0.25, 0.0, 4), CLASSES, CONFUSION, NAMES, {"crops": 10})
    figures = json.loads((tmp_path / "out/figures.json").read_text())
    assert figures == {
        "loss": 1.5,
        "top1_error": 0.25,
        "top5_error": 0.0,
        "images": 4,
        "accuracy": 0.75,
        "mean_average_precision": 0.75,
        "crops": 10,
    }
    rows = list(csv.DictReader((tmp_path / "out/classes.csv").read_text().splitlines()))
    assert [rows[0][key] for key in ("index", "folder", "name", "images")] == ["0", "n01", "cat, house cat", "3"]
    assert float(rows[0]["top1_error"]) == 1 / 3
    assert rows[2]["average_precision"] == ""
    table = list(csv.reader((tmp_path / "out/confusion.csv").read_text().splitlines()))
    assert table[0][1:] == ["n01", "n02", "n03"]
    assert [[int(cell) for cell in row[1:]] for row in table[1:]] == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert (tmp_path / "out/mistakes.csv").read_text() == "class,predicted,images\nn01,n02,1\n"
    with Image.open(tmp_path / "out/confusion.png") as picture:
        assert picture.format == "PNG"
        drawn = np.asarray(picture.convert("RGB")).copy()
    plot_confusion("as_on_the_page", CONFUSION.matrix(), ["cat, house cat", "dog", "n03"]).write(tmp_path)
    with Image.open(tmp_path / "as_on_the_page.png") as picture:
        assert (np.asarray(picture.convert("RGB")) == drawn).all()


def test_a_folder_that_cannot_be_written_raises_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ConfigError, match="cannot write to .*out: .*--out"):
        write_evaluation(tmp_path / "out", Metrics(1.5, 0.25, 0.0, 4), CLASSES, CONFUSION, NAMES, {})


def test_rows_are_true_classes_and_columns_predicted_ones() -> None:
    confusion = np.zeros((1000, 1000), int)
    confusion[3, 700] = 5
    pixels = np.asarray(draw_confusion(confusion, ["x"] * 1000))
    assert pixels.shape == (1000, 1000, 3)
    assert np.argwhere((pixels != 255).any(2)).tolist() == [[3, 700]]
    assert pixels[3, 700].tolist() == [8, 29, 88]


def test_colours_show_shares_of_a_class_not_counts() -> None:
    confusion = np.zeros((1000, 1000), int)
    confusion[0, :2] = 1
    confusion[1, :2] = 50
    pixels = np.asarray(draw_confusion(confusion, ["x"] * 1000))
    assert (pixels[:2, :2] == pixels[0, 0]).all()
    assert (pixels[0, 0] != (8, 29, 88)).any()


def test_no_memory_is_taken_for_each_pair_of_many_classes(tmp_path: Path) -> None:
    n_classes = 70_000
    ones = np.ones(n_classes)
    classes = ClassMetrics(images=np.ones(n_classes, int), top1_error=ones, top5_error=ones, average_precision=ones)
    confusion = Confusion(n_classes=n_classes, labels=np.array([69_999]), predicted=np.array([5]), counts=np.array([1]))
    names = [(f"c{index}", "") for index in range(n_classes)]
    write_evaluation(tmp_path, Metrics(1.5, 1.0, 0.0, 1), classes, confusion, names, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.csv", "figures.json", "mistakes.csv"]
    assert (tmp_path / "mistakes.csv").read_text() == "class,predicted,images\nc69999,c5,1\n"


def test_a_name_that_the_font_cannot_draw_is_the_number_of_its_class() -> None:
    confusion = np.eye(2, dtype=int)
    chinese = draw_confusion(confusion, ["\u732b", "dog"]).tobytes()
    assert chinese == draw_confusion(confusion, ["class 0", "dog"]).tobytes()
    assert chinese != draw_confusion(confusion, ["cat", "dog"]).tobytes()
