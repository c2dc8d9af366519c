"""Other activations in place of a network's ReLUs."""

from torch import nn

from ..types import Activation

_LAYERS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "mish": nn.Mish, "silu": nn.SiLU}


def replace_activations(model: nn.Module, activation: Activation) -> None:
    """Replace each ReLU of ``model``, and each of Torch7's thresholds near 0, by ``activation``; ``relu`` keeps all."""
    if activation == "relu":
        return
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU | nn.Threshold):
                setattr(parent, name, _LAYERS[activation]())
