"""Tests of the benchmark of the exchange, with real processes."""

import json

import pytest

from benchmarks import exchange

TINY = ["--model", "tiny", "--img_size", "32", "--numbers", "1000", "--iterations", "1", "--rounds", "2"]


def test_the_json_has_all_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert exchange.main([*TINY, "--workers", "2", "--ddp", "--no-compile", "--patience_s", "60", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    cases: dict[str, list[str]] = {}
    for row in result["rows"]:
        cases.setdefault(f"{row['case']}: {row['unit']}", []).append(row["name"])
        assert 0 < row["low"] <= row["median"] <= row["high"]
    pair = ["ours, Peer", "all-reduce"]
    assert cases == {
        "2 workers, gradients, float32, 0.0 MB: ms": pair,
        "2 workers, weights and momentum, float32, 0.0 MB: ms": pair,
        "tiny, 2 x 4: images/s": ["ours, weights averaged", "DistributedDataParallel, not compiled"],
    }
