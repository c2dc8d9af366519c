"""What is read from a run's folder: files instead of a training."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.evaluation.predictions import Predictions
from lib.report.curves import charts
from lib.report.inspector import SampleBudget
from lib.report.page import write_report
from lib.report.plot import COLOURS
from lib.report.predictions import SampledPredictions
from lib.report.runs import read_run
from tests.support.run_files import line, write_run


@pytest.mark.parametrize("damaged", ['{"kind": "tra', "\0\0\0", "5", '{"kind": "train", "epoch": 1, "iteration": 4}'])
def test_damaged_lines_are_skipped(tmp_path: Path, damaged: str) -> None:
    lines = [line("train", 2), damaged, line("val_subset", 3), line("train", 4), line("val", 4), damaged]
    run = read_run(write_run(tmp_path, lines))
    assert [entry.iteration for entry in run.train] == [2, 4]
    assert [(run.epochs(entry), entry.values["top1_error"]) for entry in run.val] == [(1.0, 0.5)]


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


def test_a_page_shows_where_a_run_waited_and_what_to_change(tmp_path: Path) -> None:
    waited = [line("train", 5, wait=0.9), line("train", 10), line("train", 15, wait=0.25)]
    slow = write_run(tmp_path / "slow", waited)
    fast = write_run(tmp_path / "fast", [line("train", 5), line("train", 10)])
    html = write_report([fast, slow], SampleBudget()).read_text()
    text = "Epoch 1, iteration 15: waiting for data took 25 % of 2.0 s (0.5 s); raise data.decoders (now 3)"
    assert f'<p class="note">slow: {text}' in html
    assert html.count("waiting for data took") == 1


def test_correct_predictions_are_counted() -> None:
    probabilities = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6], [0.3, 0.2, 0.5], [0.3, 0.2, 0.5]])
    predictions = Predictions.of(np.arange(4), torch.tensor([0, 1, 2, 2]), probabilities.log())
    sampled = SampledPredictions(n_all=9, classes=["a", "b", "c"], predictions=predictions, samples=[])
    assert (sampled.n_correct, sampled.n_images) == (3, 4)
    assert sampled.confused_pairs() == [("b", "c", 1, 1.0)]
    assert sampled.ranked_classes() == [("a", 1.0, 1), ("c", 1.0, 2), ("b", 0.0, 1)]
