from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lib.config import LoggingConfig
from lib.errors import ConfigError
from lib.trackers import registry
from lib.trackers.registry import check_trackers, open_trackers


def test_a_tracker_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="wandb is wanted but not installed; pip install wandb, or say"):
        check_trackers(LoggingConfig(tracker="wandb", tensorboard=False))
    with pytest.raises(ConfigError, match="or say --logging.tensorboard false"):
        check_trackers(LoggingConfig())
    check_trackers(LoggingConfig(tensorboard=False))


def test_tensorboard_shows_the_figures_and_hides_what_a_resumed_run_repeats(tmp_path: Path) -> None:
    for first, loss in ((0, 2.0), (3, 1.0)):
        (tracker,) = open_trackers(LoggingConfig(), tmp_path, {"run.seed": "1"}, first)
        for step in range(first + 1, first + 6):
            tracker.scalars({"train/loss": loss}, step)
        tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    seen = {event.step: event.value for event in events.Scalars("train/loss")}
    assert seen == dict.fromkeys(range(1, 4), 2.0) | dict.fromkeys(range(4, 9), 1.0)
    assert events.Tags()["tensors"] == ["configuration/text_summary"]


@pytest.mark.parametrize("name", sorted(registry.TRACKERS))
def test_every_tracker_is_where_the_registry_says(name: str) -> None:
    module, kind, _ = registry.TRACKERS[name]
    assert hasattr(registry.importlib.import_module(module), kind)
