"""Tests of model.made_for, the images that weights of other programs were trained on."""

import pytest

from lib.config.made_for import MadeFor, parse_made_for
from lib.config.schema import Config, ModelConfig, NormalizeConfig
from lib.errors import ConfigError


def test_order_mean_and_std_can_be_given_one_by_one() -> None:
    parsed = {
        "order=bgr": MadeFor(bgr=True),
        "std=1,2,4": MadeFor((1.0, 2.0, 4.0)),
        "std=1,2,4 mean=5,6,7": MadeFor((1.0, 2.0, 4.0), mean=(5.0, 6.0, 7.0)),
        "order=bgr std=1,2,4 mean=5,6,7": MadeFor((4.0, 2.0, 1.0), bgr=True, mean=(7.0, 6.0, 5.0)),
    }
    assert {text: parse_made_for("model.made_for", text) for text in parsed} == parsed


@pytest.mark.parametrize(
    "text",
    ["", "BGR", "order=grb", "mean=1,2", "mean=1,2,x", "mean=1,2,nan", "std=1,0,1", "std=1,1,1 std=2,2,2", "rate=1"],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"model.made_for is .*; it must be one of auto, .*'order=bgr mean=104,"):
        ModelConfig(made_for=text)


def test_a_mean_that_is_not_subtracted_is_refused() -> None:
    model = ModelConfig(made_for="mean=104,117,123")
    Config(model=model)
    with pytest.raises(ConfigError, match="normalize.mean is none; set normalize.mean to channel"):
        Config(model=model, normalize=NormalizeConfig(mean="none"))
