"""Tests of the benchmarks that run train.py: their JSON, with simulated runs, and how real runs end."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import fed, start
from benchmarks.training import Finished, finished, seconds_to_first_iteration

TINY = ["--model", "tiny", "--img_size", "32"]


def test_the_json_of_fed_has_all_cases(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(keys: Sequence[str], timeout_s: float) -> Finished:
        assert timeout_s == 9
        speed = (95 if "memory" in keys else 100 if "synthetic" in keys else 90) * (
            2 if '["cpu", "cpu"]' in keys else 1
        )
        first = {"kind": "train", "images": 16, "images_per_s": 1, "wait": 1}  # the warm-up
        line = {"kind": "train", "images": 16, "images_per_s": speed, "wait": speed / 1000}
        return Finished([first, *[line] * 3, {"kind": "val", "images": 1}], speed / 100)

    monkeypatch.setattr(fed, "finished", run)
    sizes = ["--images", "16", "--rounds", "2", "--timeout_s", "9", "--scratch", str(tmp_path), "--memory"]
    assert fed.main([*TINY, *sizes, "--json", "--", "--compute.threads", "1"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    ratios = {(row["case"], row["name"]): row["ratio"] for row in result["rows"]}
    assert set(ratios) == {
        *{("1 x 8", name) for name in ("fed", "synthetic", "fed from memory", "the step alone")},
        *{("2 x 8", name) for name in ("fed", "synthetic", "fed from memory")},
    }
    assert ratios["2 x 8", "fed"] == pytest.approx(0.9)
    notes = {"fed, 2 x 8 over 1 x 8": 2.0}
    for name, speed in (("fed", 90), ("synthetic", 100), ("fed from memory", 95)):
        for workers in (1, 2):
            notes[f"{name}, {workers} x 8: share of time waiting"] = workers * speed / 1000
            notes[f"{name}, {workers} x 8: cores of a loader"] = workers * speed / 100
    assert result["notes"] == pytest.approx(notes)
    assert not any(tmp_path.iterdir())


def test_the_json_of_start_has_all_cases(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def run(keys: Sequence[str], timeout_s: float, environment: dict[str, str]) -> float:
        caches = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH", "PYTHONPYCACHEPREFIX")
        assert len({environment[name] for name in caches}) == len(caches)
        cold = environment["CUDA_CACHE_PATH"] not in seen
        seen.append(environment["CUDA_CACHE_PATH"])
        return 8.0 if cold else 4.0

    monkeypatch.setattr(start, "seconds_to_first_iteration", run)
    assert start.main([*TINY, "--workers", "2", "--rounds", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    cold, warm, floor = result["rows"]
    assert (cold["median"], warm["median"], cold["ratio"], warm["ratio"]) == (8, 4, 0.5, 1)
    assert floor["name"] == "python, import torch"
    assert floor["median"] > 0


def test_a_real_run_ends_after_its_first_iteration() -> None:
    keys = ["--data.source", "synthetic", "--data.synthetic.train", "8", "--data.img_size", "32", "--batch_size", "4"]
    keys += ["--model.name", "tiny", "--compute.threads", "1"]
    mark = f"run of {os.getpid()}"
    assert 0 < seconds_to_first_iteration(keys, 100, {"BENCHMARK_TEST": mark}) < 100
    assert not [path for path in Path("/proc").glob("[0-9]*/environ") if mark.encode() in environment(path)]


def environment(path: Path) -> bytes:
    """Return the environment of a process, or nothing if it has ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_real_run_tells_its_metrics_and_the_cores_of_its_loader() -> None:
    keys = ["--data.source", "synthetic", "--data.synthetic.train", "64", "--data.img_size", "32", "--batch_size", "4"]
    keys += ["--model.name", "tiny", "--compute.threads", "1", "--run.n_epochs", "12", "--logging.print_freq", "4"]
    done = finished(keys, 100)
    assert {line["kind"] for line in done.metrics} == {"train", "val"}
    assert 0 <= done.loader_cores < 4


def test_a_failed_run_raises_its_output() -> None:
    with pytest.raises(RuntimeError, match=r"ended with status 2: .*unknown option --no_such_key"):
        finished(["--no_such_key", "1"], 60)
