import json
from pathlib import Path

import numpy as np
import pytest

from lib.recording.metrics_log import MetricsLog, read_lines, write_val_record
from lib.types import Phase

VALUES = {"loss": 1.0, "top1_error": 0.5, "top5_error": 0.1, "images": 10}


def test_a_resumed_log_drops_lines_after_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, epoch=0, iteration=0)
    for epoch, iteration in ((1, 5), (1, 10)):
        log.write("train", epoch, iteration, VALUES)
    log.write("val", 1, 10, VALUES)
    for iteration in (5, 10):
        log.write("train", 2, iteration, VALUES | {"learning_rate": 0.1})
    log.close()
    with path.open("a") as file:
        file.write('{"kind": "tra')  # killed in the middle of a line
    log = MetricsLog(path, epoch=1, iteration=7)
    log.write("train", 2, 10, VALUES)
    log.close()
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    written = [(e["kind"], e["epoch"], e["iteration"]) for e in entries]
    assert written == [("train", 1, 5), ("train", 1, 10), ("val", 1, 10), ("train", 2, 5), ("train", 2, 10)]


@pytest.mark.parametrize(
    "damaged",
    [
        *(b'{"kind": "tra', b"\0" * 40, b"\xff\xfe", b"5", b"[]", b'{"kind": "train", "epoch": 1, "iteration": 7}'),
        b'{"kind": "other", "epoch": 1, "iteration": 7, "loss": 1, "top1_error": 0, "top5_error": 0, "images": 9}',
        b'{"kind": "val", "epoch": 1, "iteration": 7, "loss": 1, "top1_error": 0, "top5_error": 0, "images": NaN}',
        b'{"kind": "val", "epoch": 1, "iteration": 1e9, "loss": 1, "top1_error": 0, "top5_error": 0, "images": 9}',
        b'{"kind": "val", "epoch": 1, "iteration": 1' + b"0" * 400 + b"}",
        b'{"kind": "val", "epoch": 1, "iteration": 7, "loss": 1' + b"0" * 400 + b"}",
        b"[" * 100_000,
    ],
)
def test_damaged_lines_are_dropped_and_counted(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, epoch=0, iteration=0)
    log.write("train", 1, 5, VALUES)
    log.write("val_subset", 1, 5, VALUES | {"loss": float("nan")})
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


def test_a_validation_line_is_dropped_when_its_validation_is_repeated(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, epoch=0, iteration=0)
    log.write("train", 1, 10, VALUES)
    log.write("val", 1, 10, VALUES)
    log.close()
    MetricsLog(path, epoch=0, iteration=10).close()
    assert [json.loads(line)["kind"] for line in path.read_text().splitlines()] == ["train"]


def test_val_record_has_the_shape_of_theano_alexnet(tmp_path: Path) -> None:
    write_val_record(tmp_path / "val_record.npy", np.array([(0.5, 1.5), (0.25, 1.0)]))
    assert np.load(tmp_path / "val_record.npy", allow_pickle=False).tolist() == [[0.5, 1.5], [0.25, 1.0]]


def test_a_subset_line_is_dropped_when_its_iteration_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, epoch=0, iteration=0)
    lines: list[tuple[Phase, int]] = [("train", 4), ("val_subset", 4), ("train", 8), ("val_subset", 8)]
    for kind, iteration in lines:
        log.write(kind, 1, iteration, VALUES)
    log.close()
    MetricsLog(path, epoch=0, iteration=8).close()
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(e["kind"], e["iteration"]) for e in kept] == [("train", 4), ("val_subset", 4), ("train", 8)]


def test_a_disk_that_takes_half_a_line_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl", epoch=0, iteration=0)
    monkeypatch.setattr("lib.recording.metrics_log.os.write", lambda _, line: len(line) // 2)
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/metrics.jsonl'"):
        log.write("train", 1, 1, VALUES)
    log.close()


def test_keys_that_are_not_numbers_are_ignored_and_kept(tmp_path: Path) -> None:
    """Another version of the program may have written them."""
    path = tmp_path / "metrics.jsonl"
    line = json.dumps({"kind": "train", "epoch": 1, "iteration": 4, "note": "text", "norm": 2.5} | VALUES) + "\n"
    path.write_text(line)
    MetricsLog(path, epoch=0, iteration=9).close()
    assert path.read_text() == line
    ((entry, _),) = read_lines(path)
    assert entry
    assert entry.values == VALUES | {"norm": 2.5}


@pytest.mark.parametrize("speed", ["NaN", "1e-320", "Infinity"])
def test_an_interval_of_impossible_speed_took_no_time(tmp_path: Path, speed: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        json.dumps({"kind": "train", "epoch": 1, "iteration": 5} | VALUES)[:-1] + f', "images_per_s": {speed}}}'
    )
    (entry, _), *_ = read_lines(path)
    assert entry
    assert entry.seconds == 0.0
