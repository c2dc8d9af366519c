"""``optimizer.class_weights``: what the loss of a class counts, from the training images or as given."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from lib.config.schema import Config, DataConfig, OptimizerConfig
from lib.data.sources.registry import source_kind
from lib.errors import ConfigError
from lib.models.losses import cross_entropy, with_auxiliary
from lib.roles.class_weights import class_weights
from tests.support.data_sets import write_data_set


def config(folder: Path, weights: str) -> Config:
    return Config(data=DataConfig(dir=folder), optimizer=OptimizerConfig(class_weights=weights))


def test_balanced_weights_make_all_classes_count_alike(tmp_path: Path) -> None:
    settings = config(write_data_set(tmp_path, train=24, val=16).dir, "balanced")
    data = source_kind(settings.data).describe(settings.data)
    weights = class_weights(settings, data, print)
    assert weights is not None
    labels = np.load(next(tmp_path.rglob("train_labels.npy")))
    counts = np.bincount(labels, minlength=data.n_classes)
    assert len(set(counts)) > 1
    np.testing.assert_allclose(weights.numpy() * counts, len(labels) / data.n_classes, rtol=1e-6)
    assert float(weights[torch.from_numpy(labels)].mean()) == pytest.approx(1)


def test_weights_are_given_for_each_class(tmp_path: Path) -> None:
    settings = config(write_data_set(tmp_path, train=24, val=16).dir, "1, 2.5,1,4")
    data = source_kind(settings.data).describe(settings.data)
    weights = class_weights(settings, data, print)
    assert weights is not None
    assert weights.tolist() == [1.0, 2.5, 1.0, 4.0]
    assert class_weights(config(settings.data.dir, "none"), data, print) is None
    with pytest.raises(ConfigError, match="class_weights lists 2 numbers, but .* has 4 classes; list one for each"):
        class_weights(config(settings.data.dir, "1,2"), data, print)


@pytest.mark.parametrize("text", ["", "even", "1,,2", "1,-2", "1,inf", "0"])
def test_what_is_no_list_of_weights_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="it must be none, balanced or a number above 0 for each class"):
        OptimizerConfig(class_weights=text)


def test_balancing_twice_is_refused() -> None:
    settings = Config(optimizer=OptimizerConfig(class_weights="balanced"))
    with pytest.raises(ConfigError, match="data.sampling class_uniform already draws classes evenly"):
        replace(settings, data=DataConfig(sampling="class_uniform"))


def test_the_weighted_loss_is_torchs() -> None:
    logits, labels, weights = torch.randn(9, 4), torch.randint(0, 4, (9,)), torch.rand(4)
    expected = functional.cross_entropy(logits, labels, weights, reduction="sum")
    torch.testing.assert_close(cross_entropy(logits, labels, 0.0, weights), expected)
    torch.testing.assert_close(with_auxiliary((logits, logits), labels, 0.0, weights), 1.3 * expected)
