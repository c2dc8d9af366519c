"""Real runs of the real scripts, on the CPU, with a small network."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.data_sets import write_data_set
from tests.support.runs import assert_same_bits
from tests.support.scripts import ONE_WORKER, TWO_WORKERS, Script, command


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return (data folder, weights_dir) of an uninterrupted run of two workers; its ``stdout`` lies beside them."""
    folder = tmp_path_factory.mktemp("whole")
    write_data_set(folder / "data")
    words = command("train_2gpu.py", *TWO_WORKERS)
    done = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True, timeout=120)
    (folder / "stdout").write_text(done.stdout)
    return folder / "data", folder / "models"


def test_a_run_leaves_metrics_record_log_and_checkpoints_in_its_folder(whole_run: tuple[Path, Path]) -> None:
    _, models = whole_run
    entries = [json.loads(line) for line in (models / "metrics.jsonl").read_text().splitlines()]
    assert [(e["kind"], e["epoch"], e["iteration"]) for e in entries[:3]] == [
        ("train", 1, 2),
        ("train", 1, 3),
        ("val", 1, 3),
    ]
    train, val = [[e for e in entries if e["kind"] == kind] for kind in ("train", "val")]
    for e in train:
        assert e["wait"] + e["compute"] + e["exchange"] == pytest.approx(1)
        assert min(e["wait"], e["compute"], e["exchange"], e["images_per_s"]) >= 0
    assert [sum(e["images"] for e in train if e["epoch"] == epoch) for epoch in range(1, 5)] == [48] * 4
    assert [e["images"] for e in val] == [20] * 4
    record = np.load(models / "val_record.npy", allow_pickle=False)
    assert record.tolist() == [[e["top1_error"], e["loss"]] for e in val]
    assert "n_epochs: 4" in (models / "config.yaml").read_text()
    assert "ended with status 0" in (models / "train.log").read_text()
    assert "cpu, cpu; batch 8 each, 16 in total; exchange peer" in (models.parent / "stdout").read_text()
    assert {p.name for p in (models / "checkpoints").iterdir()} >= {"latest", "best", "epoch004_iter00000.pt"}


def test_evaluating_a_subset_does_not_change_the_training(
    tmp_path: Path, whole_run: tuple[Path, Path], run_script: Script
) -> None:
    data, whole = whole_run
    subset = ("--logging.val_freq", 1, "--logging.val_images", 7)
    done = run_script("train_2gpu.py", *TWO_WORKERS, "--data.dir", data, *subset)
    assert done.returncode == 0, done.stderr
    assert_same_bits(tmp_path / "models", whole)
    entries = [json.loads(line) for line in (tmp_path / "models/metrics.jsonl").read_text().splitlines()]
    found = [(e["epoch"], e["iteration"], e["images"]) for e in entries if e["kind"] == "val_subset"]
    assert found == [(epoch, iteration, 7) for epoch in range(1, 5) for iteration in (1, 2)]
    assert "epoch 2, iteration 2: 7 validation images: loss " in done.stdout
    train = [e for e in entries if e["kind"] == "train"]
    assert [sum(e["images"] for e in train if e["epoch"] == epoch) for epoch in range(1, 5)] == [48] * 4


def interrupt(words: list[str], cwd: Path, metrics: Path, at_line: int, number: signal.Signals) -> tuple[int, str]:
    """Start a run, send a signal when ``metrics`` has ``at_line`` lines, and return its exit status and stderr."""
    process = subprocess.Popen(words, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (metrics.exists() and metrics.read_text().count("\n") >= at_line):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path, whole_run: tuple[Path, Path]) -> None:
    data, whole = whole_run
    models = tmp_path / "models"
    words = command("train_2gpu.py", *TWO_WORKERS, "--data.dir", data)
    status, stderr = interrupt(words, tmp_path, models / "metrics.jsonl", 1, signal.SIGINT)
    assert status == 128 + signal.SIGINT, stderr
    assert "stopping after this iteration" in stderr
    latest = (models / "checkpoints/latest").read_text()
    assert f"\nstopped after saving models/checkpoints/{latest}. Start the same command again" in stderr
    resumed = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120)
    assert "resumed:" in resumed.stdout
    assert_same_bits(models, whole)


def test_a_closed_terminal_loses_no_training(tmp_path: Path, whole_run: tuple[Path, Path]) -> None:
    data, whole = whole_run
    models = tmp_path / "models"
    words = command("train_2gpu.py", *TWO_WORKERS, "--data.dir", data)
    status, screen = close_terminal(words, tmp_path, models / "metrics.jsonl", 4)
    assert screen.startswith("data: ")
    assert status == 128 + signal.SIGHUP, screen
    assert "supervisor: ended with status 129: stopped after saving" in (models / "train.log").read_text()
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert_same_bits(models, whole)


def close_terminal(words: list[str], cwd: Path, metrics: Path, at_line: int) -> tuple[int, str]:
    """Start a run in a terminal, close the terminal, and return the exit status and the output until then."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execv(words[0], words)
    shown = b""
    deadline = time.monotonic() + 60
    while not (metrics.exists() and metrics.read_text().count("\n") >= at_line):
        assert time.monotonic() < deadline, shown
        if select.select([terminal], [], [], 0.01)[0]:
            shown += os.read(terminal, 4096)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, whole_run: tuple[Path, Path]) -> None:
    data, whole = whole_run
    models = tmp_path / "models"
    words = command("train_2gpu.py", *TWO_WORKERS, "--data.dir", data)
    status, _ = interrupt(words, tmp_path, models / "metrics.jsonl", 5, signal.SIGKILL)
    assert status == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, timeout=120).returncode:
        assert time.monotonic() < deadline  # the orphans are still ending
        time.sleep(0.2)
    assert_same_bits(models, whole)


def test_one_worker_resumes_from_a_named_checkpoint(tmp_path: Path, one_run: Path, run_script: Script) -> None:
    second = one_run / "models/checkpoints/epoch002_iter00000.pt"
    done = run_script("train.py", *ONE_WORKER, "--run.resume", second, "--run.weights_dir", "again")
    assert done.returncode == 0, done.stderr
    assert f"resumed:  {second}, 2 epochs and 0 iterations done" in done.stdout
    assert_same_bits(tmp_path / "again", tmp_path / "models")


def test_a_finished_run_is_reported_and_does_not_start_over(one_run: Path, run_script: Script) -> None:
    models = one_run / "models"
    before = contents(models)
    again = run_script("train.py", *ONE_WORKER)
    assert again.returncode == 0
    assert again.stdout == "nothing is left to do: epoch 4 of 4 is done; raise run.n_epochs for more\n"
    assert contents(models) == before
    refused = run_script("train.py", *ONE_WORKER, "--model.name", "tiny_without_dropout")
    assert (refused.returncode, "belongs to another network" in refused.stderr) == (2, True)
    other = run_script("train.py", *ONE_WORKER, "--optimizer.learning_rate", 0.02)
    assert (other.returncode, "it had other settings: optimizer.learning_rate 0.01 -> 0.02;" in other.stderr) == (
        2,
        True,
    )
    assert contents(models) == before, "who is refused changes nothing"
    anew = run_script("train.py", *ONE_WORKER, "--run.resume", "never")
    assert anew.returncode == 0
    assert "resumed" not in anew.stdout
    assert_same_bits(models, models / "old_1")
    assert contents(models / "old_1") == before


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a run in ``folder``."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_validate_repeats_the_figures_of_the_run(one_run: Path, run_script: Script) -> None:
    figures = re.findall(r"epoch 4: validation (.*)", (one_run / "stdout").read_text())[0]
    checkpoint = "models/checkpoints/epoch004_iter00000.pt"
    done = run_script(
        "validate.py", "--checkpoint", checkpoint, "--model.name", "tiny", "--devices", "[cpu]", "--batch_size", 8
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{checkpoint}: {figures}  over 20 images\n")


def test_file_order_auto_schedule_nesterov_and_two_slots_train(data_set: Path, run_script: Script) -> None:
    """``tests/end_to_end/test_unreadable_data.py`` trains without shuffling."""
    done = run_script(
        "train_2gpu.py",
        *TWO_WORKERS,
        *("--data.shuffle", "files", "--augment.per_image", "false", "--schedule.policy", "auto"),
        *("--optimizer.nesterov", "true", "--data.slots", 2),
    )
    assert done.returncode == 0, done.stderr


def test_the_error_falls_below_chance(tmp_path: Path, run_script: Script) -> None:
    write_data_set(tmp_path / "data", train=480, val=100)
    # A mirror would swap left and right quarters, which tell the classes.
    options = ("--run.n_epochs", 8, "--optimizer.learning_rate", 0.1, "--augment.mirror", "false")
    done = run_script("train_2gpu.py", *TWO_WORKERS, *options)
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "models/val_record.npy")[-1, 0] < 0.1  # chance is 0.75


def test_two_runs_at_once_need_two_folders(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    words = command("train.py", *ONE_WORKER, "--run.n_epochs", 4000)
    first = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not (tmp_path / "models/metrics.jsonl").exists():
            time.sleep(0.05)
        clash = run_script("train_2gpu.py", *TWO_WORKERS)
        assert clash.returncode == 2
        assert clash.stderr == "error: another run is training in models; give this one its own --run.weights_dir\n"
        beside = run_script("train_2gpu.py", *TWO_WORKERS, "--run.weights_dir", "beside")
        assert beside.returncode == 0, beside.stderr
        assert first.poll() is None
    finally:
        first.terminate()
        first.wait(timeout=30)


def test_help_does_not_import_torch(run_script: Script) -> None:
    for script in ("train.py", "train_2gpu.py", "validate.py"):
        done = run_script(script, "--help", timeout_s=20)
        assert done.returncode == 0
        assert "--batch_size" in done.stdout
