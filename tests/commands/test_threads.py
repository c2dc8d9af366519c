"""The CPU threads of a run: its share of the free cores, which a resumed run keeps."""

from dataclasses import replace
from pathlib import Path

import pytest

from lib.commands import run
from lib.config.schema import ComputeConfig, Config, ExchangeConfig, RunConfig


def test_workers_share_the_free_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "free_cores", lambda: 6)
    config = Config(run=RunConfig(weights_dir=tmp_path), devices=("cpu",) * 4, exchange=ExchangeConfig(method="peer"))
    assert run._threads(config) == 1
    assert run._threads(replace(config, devices=("cpu", "auto"))) == 3
    assert run._threads(replace(config, devices=("cuda:0", "cpu"))) == 6
    assert run._threads(replace(config, compute=ComputeConfig(threads=5))) == 5


def test_a_resumed_run_keeps_its_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The last bits of sums depend on their number, and the load is another one each time."""
    monkeypatch.setattr(run, "free_cores", lambda: 6)
    config = Config(run=RunConfig(weights_dir=tmp_path), devices=("cpu",))
    (tmp_path / "config.yaml").write_text("compute: {threads: 2}\n")
    assert run._threads(config) == 2
    (tmp_path / "config.yaml").write_text("compute: {threads: 0}\n")
    assert run._threads(config) == 6
    (tmp_path / "config.yaml").write_text("no: {such: key}\n")
    assert run._threads(config) == 6
