"""How a run claims its folder."""

from pathlib import Path

import pytest

from lib.config.schema import RunConfig
from lib.recording.trackers import RunIdFile
from lib.runtime.run_dir import claim_run_dir


@pytest.mark.parametrize("tracker", ["wandb", "mlflow"])
def test_an_older_run_is_moved_aside_with_its_tracker_ids(tmp_path: Path, tracker: str) -> None:
    RunIdFile(tmp_path, tracker, 0).save("run 7")
    (tmp_path / "config.yaml").write_text("the older one's")
    (tmp_path / "old_1").mkdir()
    claim_run_dir(RunConfig(weights_dir=tmp_path, resume="never"), "run: {}\n", "cd / && python train.py")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["command.txt", "config.yaml", "old_1", "old_2"]
    assert (tmp_path / "old_2/config.yaml").read_text() == "the older one's"
    assert RunIdFile(tmp_path / "old_2", tracker, 1).run_id == "run 7"
    assert (tmp_path / "command.txt").read_text() == "cd / && python train.py\n"


def test_a_resumed_run_keeps_its_metrics(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("figures")
    claim_run_dir(RunConfig(weights_dir=tmp_path), "model: {name: nin_bn}\n", "")
    assert (tmp_path / "metrics.jsonl").read_text() == "figures"
    assert "name: nin_bn" in (tmp_path / "config.yaml").read_text()
