"""A network of two towers on two workers, as in the first version of imagenet-multiGPU.torch: each computes its tower.

All convolutions but the first have two groups, so the towers are separate up to the classifier, which is split over the
workers as well. Both see the images of both. Nothing is replicated, and nothing is averaged.
"""

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..exchange.base import Exchange
from ..models.layers import FeatureClassifier
from .shares import Shares
from .split_classifier import SplitClassifier, SplitNetwork, WholeModule, cut, gather_columns, gather_rows
from .split_layers import ColumnGather, RowGather, SharedBatch

_TOWERS = 2


class SplitTowers(SplitNetwork):
    """One worker's tower of ``model``, and its share of the classifier, for images of side ``crop``."""

    def __init__(
        self, model: FeatureClassifier, exchange: Exchange, batch: SharedBatch, dtype: torch.dtype, crop: int
    ) -> None:
        nn.Module.__init__(self)
        _check_towers(model, batch.shares)
        tensors = model.state_dict()
        first = next(layer for layer in model.classifier if isinstance(layer, nn.Linear))
        images = RowGather(exchange, batch, 3 * crop**2, dtype)
        self._joint, self._dtype = ColumnGather(exchange, batch, first.in_features, dtype), dtype
        self.features = nn.Sequential(*(_tower(layer, batch.shares) for layer in model.features))
        self.classifier = SplitClassifier(model.classifier, exchange, batch, dtype, images)
        self.whole = WholeModule(model)
        self.whole.tensors = tensors

    @property
    def owned(self) -> tuple[str, nn.Module]:
        return "", self

    def forward(self, images_BCHW: Tensor) -> Tensor:
        if not self.training:
            return self.whole(images_BCHW)
        rows_NI = gather_rows(images_BCHW.flatten(1).to(self._dtype), self.classifier.joints.rows)
        features_Nw = self.features(rows_NI.view(-1, *images_BCHW.shape[1:])).flatten(1)
        return self.classifier.of_all_rows(gather_columns(features_Nw, self._joint), len(images_BCHW))


def _check_towers(model: FeatureClassifier, shares: Shares) -> None:
    """Raise ConfigError unless ``model`` has two towers, and as many workers."""
    layers = [*model.features, model.pool]
    groups = [layer.groups for layer in layers if isinstance(layer, nn.Conv2d)]
    known = all(isinstance(layer, nn.Conv2d | nn.ReLU | nn.MaxPool2d | nn.Identity) for layer in layers)
    if not known or groups[:1] != [1] or {*groups[1:]} != {_TOWERS}:
        raise ConfigError("model.parallel is towers, but this network has none; use it with alexnet_towers")
    if shares.world_size != _TOWERS:
        raise ConfigError(
            f"model.parallel is towers, but there are {shares.world_size} workers; name two devices, or set it to "
            "classifier, with which any number of workers continues from the same checkpoints"
        )


@torch.no_grad()
def _tower(layer: nn.Module, shares: Shares) -> nn.Module:
    """Return this worker's half of ``layer``."""
    if not isinstance(layer, nn.Conv2d):
        return cut(layer, shares)
    inputs, outputs, padding = layer.in_channels // layer.groups, layer.out_channels // _TOWERS, layer.padding
    half = nn.Conv2d(inputs, outputs, layer.kernel_size, layer.stride, padding, device=layer.weight.device)  # type: ignore[arg-type]
    for own, whole in zip(half.state_dict().values(), layer.state_dict().values(), strict=True):
        own.copy_(shares.cut(whole))
    return half
