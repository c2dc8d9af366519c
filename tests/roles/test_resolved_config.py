"""The configuration in a run's folder."""

from pathlib import Path

from lib.commands.configuration import parse_config
from lib.config.schema import Config
from lib.roles.run_summary import resolved_config
from tests.support.scripts import ROOT


def parsed(*argv: str) -> Config:
    return parse_config(argv, description="", spec=ROOT / "spec_2gpu.yaml")[0]


def test_it_shows_what_becomes_of_a_rate_that_scales() -> None:
    text = resolved_config(parsed("--model.name", "squeezenet_v1_1"))
    assert ", for 512 images per update (here 256: its learning rate 0.04 becomes 0.02).\n" in text
    assert "  learning_rate: 0.02  # the recipe's\n" in text


def test_it_marks_the_values_of_the_recipe_and_can_be_read_back(tmp_path: Path) -> None:
    config = parsed("--model.name", "squeezenet", "--optimizer.learning_rate", "0.02", "--devices", "[cpu, cpu]")
    text = resolved_config(config)
    assert "  learning_rate: 0.02  # the recipe has 0.01\n" in text
    assert "  momentum: 0.9  # the recipe's\n" in text
    assert "  name: squeezenet\n" in text
    (tmp_path / "config.yaml").write_text(text)
    assert parsed("--config", str(tmp_path / "config.yaml")) == config
