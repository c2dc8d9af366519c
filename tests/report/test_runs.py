"""What is read from a run's folder: files instead of a training."""

import re
from html import escape
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from lib.errors import ConfigError
from lib.evaluation.plot import COLOURS, drawable
from lib.evaluation.predictions import Predictions
from lib.recording.settings_log import Settings, record
from lib.report.curves import charts
from lib.report.inspector import SampleBudget
from lib.report.page import write_report
from lib.report.prediction_plots import confusion_plot, samples_plot
from lib.report.predictions import SampledPredictions, SampleImage
from lib.report.runs import read_run, wait_advice
from tests.support.run_files import line, write_run


@pytest.mark.parametrize("damaged", ['{"kind": "tra', "\0\0\0", "5", '{"kind": "train", "epoch": 1, "iteration": 4}'])
def test_damaged_lines_are_skipped(tmp_path: Path, damaged: str) -> None:
    lines = [line("train", 2), damaged, line("val_subset", 3), line("train", 4), line("val", 4), damaged]
    run = read_run(write_run(tmp_path, lines))
    assert [entry.iteration for entry in run.train] == [2, 4]
    assert [(run.epochs(entry), entry.values["top1_error"]) for entry in run.val] == [(1.0, 0.5)]


@pytest.mark.parametrize(("rates", "label"), [((0.1, 0.01), "0.01"), ((0.1, 0.03), "0.06")])
def test_the_labels_of_a_logarithmic_axis_are_plain_numbers(
    tmp_path: Path, rates: tuple[float, float], label: str
) -> None:
    records = [line("train", 10 * number, learning_rate=rate) for number, rate in enumerate(rates, 1)]
    svg = charts([read_run(write_run(tmp_path / "run", records))], "learning")[-1].svg
    assert f">{label}<" in svg
    assert "math" not in svg


def test_a_learning_rate_is_drawn_over_the_iterations_that_had_it(tmp_path: Path) -> None:
    """Ten iterations at 0.1, then five at 0.01: an entry is written at the end of its interval."""
    records = [line("train", 5), line("train", 10), line("train", 15, learning_rate=0.01)]
    run = read_run(write_run(tmp_path, records))
    curve = re.search(rf'<path d="([^"]*)"[^>]*stroke: {COLOURS[0]}', charts([run], "learning")[-1].svg)
    assert curve
    points = [tuple(map(float, point.split())) for point in re.findall(r"[\d.]+ [\d.]+", curve[1])]
    first, last = points[0][0], points[-1][0]
    dropped = next(x for (x, y), (_, then) in pairwise(points) if then != y)
    assert dropped == pytest.approx((first + last) / 2)


def test_a_first_loss_of_thousands_does_not_flatten_the_curve(tmp_path: Path) -> None:
    losses = [90_000.0, *[2.3] * 9, 1.1]
    records = [line("train", iteration, loss=loss) for iteration, loss in enumerate(losses, 1)]
    svg = charts([read_run(write_run(tmp_path, records))], "learning")[0].svg
    assert re.findall(r">([^<>a-z]*\d)<", svg)[-6:] == ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]


def test_a_page_shows_where_a_run_waited_and_what_to_change(tmp_path: Path) -> None:
    waited = [line("train", 5, wait=0.9), line("train", 10), line("train", 15, wait=0.25)]
    slow = write_run(tmp_path / "slow", waited)
    fast = write_run(tmp_path / "fast", [line("train", 5), line("train", 10)])
    html = write_report([fast, slow], SampleBudget(), tmp_path / "compare.html").read_text()
    text = "Epoch 1, iteration 15: waiting for data took 25 % of 2.0 s (0.5 s); raise data.decoders (now 3)"
    assert f'<p class="note">slow: {text}' in html
    assert html.count("waiting for data took") == 1


def test_a_page_blames_no_epoch_that_filled_the_cache_on_disk(tmp_path: Path) -> None:
    filled = [line("train", 5), line("train", 10, wait=0.9)]
    folder = write_run(tmp_path, [*filled, line("train", 5, epoch=2), line("train", 10, epoch=2, wait=0.25)])
    (folder / "environment.json").write_text('{"cache": "disk"}')
    advice = wait_advice(read_run(folder))
    assert advice.startswith("Epoch 2, iteration 10: waiting for data took 25 %")
    assert "set data.cache to memory" in advice


def test_correct_predictions_are_counted() -> None:
    probabilities = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6], [0.3, 0.2, 0.5], [0.3, 0.2, 0.5]])
    predictions = Predictions.of(np.arange(4), torch.tensor([0, 1, 2, 2]), probabilities.log())
    sampled = SampledPredictions(n_all=9, classes=["a", "b", "c"], predictions=predictions, samples=[])
    assert (sampled.n_correct, sampled.n_images) == (3, 4)
    assert sampled.confused_pairs() == [("b", "c", 1, 1.0)]
    assert sampled.confusion.has_matrix
    assert sampled.ranked_classes() == [("a", 1.0, 1), ("c", 1.0, 2), ("b", 0.0, 1)]


def test_no_matrix_is_made_of_very_many_classes() -> None:
    n_classes = 70_000
    log_probabilities = torch.zeros(2, n_classes)
    log_probabilities[:, 7] = 1
    predictions = Predictions.of(np.arange(2), torch.tensor([7, 69_999]), log_probabilities)
    names = [str(index) for index in range(n_classes)]
    sampled = SampledPredictions(n_all=2, classes=names, predictions=predictions, samples=[])
    assert not sampled.confusion.has_matrix
    assert sampled.confused_pairs() == [("69999", "7", 1, 1.0)]
    assert sampled.ranked_classes() == [("7", 1.0, 1), ("69999", 0.0, 1)]


@pytest.mark.parametrize("name", ["$x^{_$", "\x1b[31m", "\udcff", "\u732b", "a\nb", "</text>"])
def test_any_name_of_a_class_can_be_drawn(tmp_path: Path, name: str) -> None:
    names = [drawable(name), "other"]
    predictions = Predictions.of(np.arange(2), torch.tensor([0, 1]), torch.tensor([[0.9, 0.1], [0.8, 0.2]]).log())
    image = np.zeros((8, 8, 3), np.uint8)
    samples = [SampleImage(image_HWC=image, label=names[0], top5=[(names[0], 0.9), (names[1], 0.1)])]
    sampled = SampledPredictions(n_all=2, classes=names, predictions=predictions, samples=samples)
    for plot in (confusion_plot(sampled), samples_plot(samples)):
        plot.write(tmp_path)
        assert ElementTree.fromstring(plot.svg) is not None
        assert escape(names[0], quote=False) in plot.svg


@pytest.mark.parametrize("name", ["_run", "$5_", "$\\frac$"])
def test_any_name_of_a_run_is_in_the_legend(tmp_path: Path, name: str) -> None:
    entries = [line("train", 2), line("val", 4)]
    runs = [read_run(write_run(tmp_path / folder, entries)) for folder in (name, "other")]
    assert name in charts(runs, "learning")[0].svg


@pytest.mark.parametrize("content", [b"\xff", b"{", b"[" * 100_000])
def test_a_damaged_description_of_the_machine_is_an_error_with_a_fix(tmp_path: Path, content: bytes) -> None:
    folder = write_run(tmp_path, [line("train", 2)])
    (folder / "environment.json").write_bytes(content)
    with pytest.raises(ConfigError, match="environment.json is damaged .*; remove it"):
        read_run(folder)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a: [", b"[" * 100_000, b"5", b"run: {n_epochs: 1}\nrun: {}"])
def test_a_damaged_configuration_is_an_error_with_its_file(tmp_path: Path, content: bytes) -> None:
    folder = write_run(tmp_path, [line("train", 2)])
    (folder / "config.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match="config.yaml"):
        read_run(folder)


def test_a_page_shows_how_the_settings_changed(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [line("train", 5)])
    changed = {"optimizer.learning_rate": "0.1"}
    record(folder, [Settings(0, 0, {"optimizer.learning_rate": "0.01"}), Settings(2, 0, changed)])
    html = write_report([folder], SampleBudget()).read_text()
    assert "Changed since epoch 2: optimizer.learning_rate 0.01 -&gt; 0.1" in html
