"""The switches of train.py: --dry_run, --find_batch_size, --profile, --quiet, --debug and limits."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.scripts import Script

OPTIONS = ("--model.name", "tiny", "--batch_size", 8, "--run.n_epochs", 2, "--logging.print_freq", 2, "--devices")


def test_dry_run_checks_estimates_and_writes_nothing(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    done = run_script("train_2gpu.py", *OPTIONS, "[cpu, cpu]", "--dry_run")
    assert done.returncode == 0, done.stderr
    for line in (
        r"trial: +loss \d",
        r"memory: +\d",
        r"time: .* ms an iteration, .* an epoch, .* in all",
        r"everything is in order; nothing was written\n",
    ):
        assert re.search(line, done.stdout), done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_dry_run_reports_a_setting_that_would_fail(data_set: Path, run_script: Script) -> None:
    done = run_script("train.py", *OPTIONS, "[cpu]", "--dry_run", "--run.resume", "gone.pt")
    assert done.returncode == 2
    assert done.stderr == "error: there is no checkpoint gone.pt; run.resume is auto, never or a checkpoint's path\n"


def test_find_batch_size_names_the_largest_and_the_fastest(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    done = run_script("train.py", *OPTIONS, "[cpu]", "--find_batch_size")
    assert done.returncode == 0, done.stderr
    tried = [int(size) for size in re.findall(r"^batch_size +(\d+):", done.stdout, flags=re.MULTILINE)]
    assert tried == [1, 2, 4, 8, 16, 32]  # 64 is more than the data set has
    assert "\nlargest that fits cpu: 32; limited by the data set's 48 training images\nfastest: " in done.stdout
    assert not (tmp_path / "models").exists()


def test_find_learning_rate_suggests_one_and_leaves_the_run_as_it_was(
    tmp_path: Path, data_set: Path, run_script: Script
) -> None:
    done = run_script("train.py", *OPTIONS, "[cpu]", "--find_learning_rate")
    assert done.returncode == 0, done.stderr
    assert "\npicture: models/learning_rate.png\n" in done.stdout
    assert re.search(r"use --optimizer.learning_rate|the loss falls at no rate", done.stdout)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["learning_rate.png"]


def test_profile_writes_a_trace_and_quiet_prints_nothing(tmp_path: Path, data_set: Path, run_script: Script) -> None:
    extra = ("--profile", 2, "--quiet", "--logging.tensorboard", "true", "--run.snapshot_freq", 2)
    done = run_script("train.py", *OPTIONS, "[cpu]", *extra)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    with gzip.open(tmp_path / "models/trace.json.gz", "rt") as file:
        events = json.load(file)["traceEvents"]
    assert any("conv" in event.get("name", "") for event in events)
    assert len(list((tmp_path / "models/tensorboard").glob("events.out.tfevents.*"))) == 1


def test_limit_batches_shortens_epochs_and_overfit_batches_learns_its_batch(
    tmp_path: Path, data_set: Path, run_script: Script
) -> None:
    def entries(name: str, *options: object) -> list[dict[str, Any]]:
        done = run_script("train.py", *OPTIONS, "[cpu]", *options, "--run.weights_dir", name)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]

    limited = entries("limited", "--run.limit_batches", 2)
    assert [(e["kind"], e["iteration"], e["images"]) for e in limited] == [("train", 2, 16), ("val", 2, 16)] * 2
    options = (*OPTIONS, "[cpu]", "--run.limit_batches", 2, "--run.weights_dir", "limited")
    validated = run_script("validate.py", *options)
    assert (validated.returncode, "over 16 images" in validated.stdout) == (0, True), validated.stderr
    one_batch = ("--run.overfit_batches", 1, "--augment.mirror", "false")
    learned = entries(
        "learned", *one_batch, "--run.n_epochs", 45, "--run.snapshot_freq", 45, "--optimizer.learning_rate", 0.02
    )
    assert {e["images"] for e in learned if e["kind"] == "train"} == {8}
    assert {e["images"] for e in learned if e["kind"] == "val"} == {20}
    assert [e for e in learned if e["kind"] == "train"][-1]["loss"] < 1.0  # log(4) = 1.39 is chance


@pytest.mark.parametrize(("options", "lines"), [((), 1), (("--debug",), 5)])
def test_tracebacks_appear_only_with_debug(run_here: Script, options: tuple[str, ...], lines: int) -> None:
    done = run_here("train.py", *OPTIONS, "[cpu]", *options)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) >= lines
    assert ("Traceback" in done.stderr) == bool(options)
    assert done.stderr.splitlines()[-1].startswith("error: data folder data does not exist")


def test_switches_that_exclude_each_other_are_refused(run_here: Script) -> None:
    done = run_here("train.py", "--dry_run", "--find_batch_size")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "give one of them" in done.stderr
