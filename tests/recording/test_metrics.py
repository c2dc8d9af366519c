import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.evaluation.metrics import Meter, Metrics, wrong_top_k
from lib.recording.metrics_log import MetricsLog, write_val_record


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_against_numpy(k: int) -> None:
    rng = np.random.default_rng(k)
    logits = rng.integers(0, 6, (200, 8)).astype(np.float32)  # many ties
    labels = rng.integers(0, 8, 200)
    order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    expected = sum(label not in row for label, row in zip(labels, order, strict=True))
    assert int(wrong_top_k(torch.from_numpy(logits), torch.from_numpy(labels), (k,))[0]) == expected


def test_top_1_is_argmax() -> None:
    logits = torch.randn(64, 10).bfloat16()
    labels = torch.randint(10, (64,))
    assert wrong_top_k(logits, labels, (1,))[0] == (logits.argmax(1) != labels).sum()


def test_a_label_without_a_number_is_wrong() -> None:
    logits = torch.tensor([[float("nan"), 0.0], [float("nan")] * 2])
    assert wrong_top_k(logits, torch.tensor([0, 1]), (1,))[0] == 2


def test_fewer_classes_than_five_are_never_wrong_at_five() -> None:
    assert wrong_top_k(torch.randn(9, 3), torch.randint(3, (9,)), (5,))[0] == 0


def test_meter_adds_exactly_and_starts_over() -> None:
    meter = Meter(torch.device("cpu"))
    logits, labels = torch.eye(6), torch.arange(6)
    labels[5] = 0
    for iteration in range(3):
        meter.add(logits, labels, torch.tensor(1.25), iteration)
    sums, bad_at = meter.take()
    assert sums == [3.75, 3.0, 0.0, 18.0]
    assert bad_at == float("inf")
    assert Metrics.of(sums) == Metrics(3.75 / 18, 3 / 18, 0.0, 18)
    assert meter.take()[0] == [0.0] * 4


def test_meter_names_the_first_iteration_that_is_no_number() -> None:
    meter = Meter(torch.device("cpu"))
    for iteration, loss in enumerate([1.0, float("nan"), 2.0, float("inf")]):
        meter.add(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64), torch.tensor(loss), iteration)
    assert meter.take()[1] == 1


def test_log_goes_on_where_the_checkpoint_was_and_drops_what_lies_beyond(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    figures = Metrics(1.0, 0.5, 0.1, 10)
    log = MetricsLog(path, epoch=0, iteration=0)
    for epoch, iteration in ((1, 5), (1, 10)):
        log.write("train", epoch, iteration, figures, {})
    log.write("val", 1, 10, figures, {})
    for iteration in (5, 10):
        log.write("train", 2, iteration, figures, {"learning_rate": 0.1})
    log.close()
    with path.open("a") as file:
        file.write('{"kind": "tra')  # killed in the middle of a line
    log = MetricsLog(path, epoch=1, iteration=7)
    log.write("train", 2, 10, figures, {})
    log.close()
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    label_ranks = [(e["kind"], e["epoch"], e["iteration"]) for e in entries]
    assert label_ranks == [("train", 1, 5), ("train", 1, 10), ("val", 1, 10), ("train", 2, 5), ("train", 2, 10)]


@pytest.mark.parametrize(
    "damaged",
    [
        *(b'{"kind": "tra', b"\0" * 40, b"\xff\xfe", b"5", b"[]", b'{"kind": "train", "epoch": 1, "iteration": 7}'),
        b'{"kind": "other", "epoch": 1, "iteration": 7, "loss": 1, "top1_error": 0, "top5_error": 0, "images": 9}',
    ],
)
def test_damaged_lines_are_left_out_and_counted(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, epoch=0, iteration=0)
    log.write("train", 1, 5, Metrics(1.0, 0.5, 0.1, 10), {})
    log.write("val_subset", 1, 5, Metrics(float("nan"), 0.5, 0.1, 10), {})
    log.close()
    whole = path.read_bytes()
    first, second = whole.splitlines(keepends=True)
    path.write_bytes(first + damaged + b"\n" + second + damaged)
    log = MetricsLog(path, epoch=0, iteration=9)
    log.close()
    assert log.damaged == 2
    assert path.read_bytes() == whole
    log = MetricsLog(path, epoch=0, iteration=9)
    log.close()
    assert not log.damaged


def test_log_of_an_epoch_whose_validation_is_to_come_has_no_validation(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, epoch=0, iteration=0)
    log.write("train", 1, 10, Metrics(1.0, 0.5, 0.1, 10), {})
    log.write("val", 1, 10, Metrics(1.0, 0.5, 0.1, 10), {})
    log.close()
    MetricsLog(path, epoch=0, iteration=10).close()
    assert [json.loads(line)["kind"] for line in path.read_text().splitlines()] == ["train"]


def test_val_record_is_the_ancestors(tmp_path: Path) -> None:
    write_val_record(tmp_path / "val_record.npy", np.array([(0.5, 1.5), (0.25, 1.0)]))
    assert np.load(tmp_path / "val_record.npy", allow_pickle=False).tolist() == [[0.5, 1.5], [0.25, 1.0]]


def test_a_subsets_entry_is_dropped_where_its_iteration_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, epoch=0, iteration=0)
    for kind, iteration in (("train", 4), ("val_subset", 4), ("train", 8), ("val_subset", 8)):
        log.write(kind, 1, iteration, Metrics(1.0, 0.5, 0.1, 10), {})
    log.close()
    MetricsLog(path, epoch=0, iteration=8).close()
    cached = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(e["kind"], e["iteration"]) for e in cached] == [("train", 4), ("val_subset", 4), ("train", 8)]


def test_a_disk_that_takes_half_a_line_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl", epoch=0, iteration=0)
    monkeypatch.setattr("lib.recording.metrics_log.os.write", lambda _, line: len(line) // 2)
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/metrics.jsonl'"):
        log.write("train", 1, 1, Metrics(1.0, 1.0, 1.0, 8), {})
    log.close()
