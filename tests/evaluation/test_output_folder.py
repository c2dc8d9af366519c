import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.errors import ConfigError
from lib.evaluation.class_metrics import ClassMetrics
from lib.evaluation.metrics import Metrics
from lib.evaluation.output_folder import draw_confusion, write_evaluation

NAMES = [("n01", "cat, house cat"), ("n02", "dog"), ("n03", "")]
CLASSES = ClassMetrics(
    images=np.array([3, 1, 0]),
    top1_error=np.array([1 / 3, 0, np.nan]),
    top5_error=np.array([0, 0, np.nan]),
    average_precision=np.array([0.5, 1, np.nan]),
)
CONFUSION = np.array([[2, 1, 0], [0, 1, 0], [0, 0, 0]])


def test_the_folder_holds_metrics_classes_and_confusion(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "out", Metrics(1.5, 0.25, 0.0, 4), CLASSES, CONFUSION, NAMES, {"crops": 10})
    figures = json.loads((tmp_path / "out/figures.json").read_text())
    assert figures == {
        "loss": 1.5,
        "top1_error": 0.25,
        "top5_error": 0.0,
        "images": 4,
        "mean_average_precision": 0.75,
        "crops": 10,
    }
    rows = list(csv.DictReader((tmp_path / "out/classes.csv").read_text().splitlines()))
    assert [rows[0][key] for key in ("index", "folder", "name", "images")] == ["0", "n01", "cat, house cat", "3"]
    assert float(rows[0]["top1_error"]) == 1 / 3
    assert rows[2]["average_precision"] == ""
    table = list(csv.reader((tmp_path / "out/confusion.csv").read_text().splitlines()))
    assert table[0][1:] == ["n01", "n02", "n03"]
    assert [[int(cell) for cell in row[1:]] for row in table[1:]] == CONFUSION.tolist()
    with Image.open(tmp_path / "out/confusion.png") as picture:
        assert picture.format == "PNG"


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
