"""When networks are compiled, and what is remembered about it."""

import time
from pathlib import Path

import pytest

from lib.config.schema import ComputeConfig
from lib.training.compilation import decide


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))


def test_auto_compiles_where_the_training_is_long_enough() -> None:
    auto = ComputeConfig()
    assert not decide(auto, "net", 9_000).compiled
    assert "few iterations" in decide(auto, "net", 9_000).note
    assert decide(auto, "net", 11_000).compiled


def test_a_cached_network_pays_sooner_and_says_how_long_it_took() -> None:
    auto = ComputeConfig()
    with decide(auto, "net", 11_000).timed():
        pass
    assert decide(auto, "net", 9_000).compiled
    assert decide(auto, "net", 9_000).note == "compiled, 0 s the last time"
    assert not decide(auto, "net", 3_000).compiled
    assert not decide(auto, "another net", 9_000).compiled


def test_all_graphs_of_a_run_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 40.0, 50.0, 52.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    compilation = decide(ComputeConfig(), "net", 11_000)
    for _ in ("step", "evaluation"):
        with compilation.timed():
            pass
    assert decide(ComputeConfig(), "net", 11_000).note == "compiled, 32 s the last time"


def test_what_was_not_compiled_is_not_remembered() -> None:
    with decide(ComputeConfig(), "net", 9_000).timed():
        pass
    assert not decide(ComputeConfig(), "net", 9_000).compiled


def test_always_and_never_and_deterministic_decide() -> None:
    assert decide(ComputeConfig(compile="always"), "net", 1).compiled
    assert not decide(ComputeConfig(compile="never"), "net", 100_000).compiled
    assert not decide(ComputeConfig(compile="always", deterministic=True), "net", 100_000).compiled
