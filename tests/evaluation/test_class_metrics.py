from pathlib import Path

import numpy as np
import pytest
import torch

from lib.evaluation.class_metrics import Confusion, average_precision, class_metrics, overall_metrics
from lib.evaluation.predictions import Predictions


def some(count: int, n_classes: int = 4, *, seed: int = 0, first: int = 0) -> Predictions:
    generator = torch.Generator().manual_seed(seed)
    log_probabilities = torch.randn(count, n_classes, generator=generator).double().log_softmax(1)
    labels = torch.randint(n_classes - 1, (count,), generator=generator)  # the last class has no image
    return Predictions.of(np.arange(first, first + count), labels, log_probabilities)


def split(whole: Predictions, indices: list[int]) -> Predictions:
    return Predictions(**{name: array[indices] for name, array in vars(whole).items()})


def test_overall_metrics_against_plain_loops() -> None:
    n_classes = 8
    p = some(50, n_classes)
    label_ranks = [
        sorted(range(n_classes), key=lambda c: -row[c]).index(label)
        for row, label in zip(p.probabilities, p.labels, strict=True)
    ]
    metrics = overall_metrics(p)
    assert metrics.top1_error == sum(place >= 1 for place in label_ranks) / 50
    assert metrics.top5_error == sum(place >= 5 for place in label_ranks) / 50
    expected = -np.mean([np.log(row[label]) for row, label in zip(p.probabilities, p.labels, strict=True)])
    assert metrics.loss == pytest.approx(expected, rel=1e-6)
    assert metrics.images == 50


def test_class_errors_sum_to_the_overall_error_and_a_class_without_images_has_nan() -> None:
    p = some(60)
    classes, metrics = class_metrics(p), overall_metrics(p)
    assert classes.images.tolist() == np.bincount(p.labels, minlength=4).tolist()
    assert np.isnan([classes.top1_error[3], classes.top5_error[3], classes.average_precision[3]]).all()
    assert np.nansum(classes.top1_error * classes.images) == pytest.approx(60 * metrics.top1_error)
    assert classes.mean_average_precision == pytest.approx(np.mean(classes.average_precision[:3]))


def test_average_precision_equals_the_mean_precision_at_hits() -> None:
    rng = np.random.default_rng(0)
    scores = rng.permutation(100).astype(np.float32)
    positive = rng.random(100) < 0.3
    ranked = positive[np.argsort(-scores)]
    precision_at_hits = [ranked[: i + 1].mean() for i in range(100) if ranked[i]]
    assert average_precision(scores, positive) == pytest.approx(np.mean(precision_at_hits))


def test_average_precision_of_equal_scores_does_not_depend_on_order() -> None:
    scores = np.full(4, 0.5, np.float32)
    for positive in ([True, False, False, False], [False, False, False, True]):
        assert average_precision(scores, np.array(positive)) == 0.25
    assert average_precision(np.array([1, 0, 0], np.float32), np.array([True, False, False])) == 1


def test_confusion_matrix_against_plain_loops() -> None:
    p = some(80)
    expected = np.zeros((4, 4), int)
    for label, row in zip(p.labels, p.probabilities, strict=True):
        expected[label, row.argmax()] += 1
    assert Confusion.of(p).matrix().tolist() == expected.tolist()
    assert Confusion.of(p).images().tolist() == expected.sum(1).tolist()
    assert Confusion.of(p).correct().tolist() == expected.diagonal().tolist()
    assert np.trace(expected) == 80 - round(80 * overall_metrics(p).top1_error)


def test_predictions_split_between_workers_give_the_same_bits(tmp_path: Path) -> None:
    whole = some(40)
    parts = [split(whole, [i for i in range(40) if i // 3 % 2 == rank]) for rank in range(2)]
    for rank, part in enumerate(parts):
        part.save(tmp_path / f"{rank}.npz")
    again = Predictions.concatenate(
        [Predictions.empty(4), Predictions.load(tmp_path / "1.npz"), Predictions.load(tmp_path / "0.npz")]
    )
    assert overall_metrics(again) == overall_metrics(whole)
    for name, array in vars(whole).items():
        assert np.array_equal(getattr(again, name), array), name


@pytest.mark.parametrize("indices", [[0, 1, 2], [0, 1, 2, 2], [0, 1, 2, 2, 3]])
def test_a_missing_or_repeated_image_raises(indices: list[int]) -> None:
    whole = some(4)
    whole.check_complete(4)
    with pytest.raises(RuntimeError, match="of 4 images"):
        split(whole, indices).check_complete(4)
