"""How much the loss of an image counts, by its class (``optimizer.class_weights``)."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..config.class_weights import parse_class_weights
from ..config.schema import Config
from ..data.dataset import DataSet
from ..data.sources.registry import source_kind
from ..errors import ConfigError


def class_weights(config: Config, data: DataSet, warn: Callable[[str], None]) -> Tensor | None:
    """Return the weight of each class, float32 (K,), or None if all are 1. Raises ConfigError.

    Balanced weights are in inverse proportion to the number of training images, and 1 in the mean over these: so the
    loss has the size that it has without them.
    """
    text = config.optimizer.class_weights
    if text == "none":
        return None
    if text == "balanced":
        source = source_kind(config.data).open(replace(config.data, readers=1, decoders=0), data, "train", warn)
        counts = np.bincount(source.labels, minlength=data.n_classes)
        source.close()
        return torch.from_numpy(counts.sum() / (data.n_classes * np.maximum(counts, 1))).float()
    weights = parse_class_weights(text)
    if len(weights) != data.n_classes:
        raise ConfigError(
            f"optimizer.class_weights lists {len(weights)} numbers, but {data.where} has {data.n_classes} classes; "
            "list one for each"
        )
    return torch.tensor(weights)
