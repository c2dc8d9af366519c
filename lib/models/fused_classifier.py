"""The classifier of a fused network: linear layers with ReLU and dropout, forward and backward, in kernels."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from ..kernels import rectifier
from ..kernels.columns import column_sums
from .fused_layers import Linear, Parameters


class FusedClassifier:
    """The forward and backward pass of ``classifier``, with its parameters in ``weights`` and ``gradients`` by name."""

    def __init__(self, classifier: nn.Module, weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
        names = [f"classifier.{name}" for name, layer in classifier.named_children() if isinstance(layer, nn.Linear)]
        self.weights = [f"{name}.weight" for name in reversed(names)]
        """names of the weights, in the order in which their gradients become ready"""
        self._linears = [Linear(Parameters.of(name, weights, gradients)) for name in names]
        self._dropout = next(layer.p for layer in classifier.children() if isinstance(layer, nn.Dropout))

    def forward(self, x_BC: Tensor, *, training: bool) -> Tensor:
        """Return the logits (B, K)."""
        for linear in self._linears[:-1]:
            x_BC = linear.forward(x_BC).relu_()
            if training:
                x_BC = functional.dropout(x_BC, self._dropout)
        return self._linears[-1].forward(x_BC)

    def backward(self, g_BK: Tensor) -> Tensor:
        """Write the gradients of all parameters, and return that of the features."""
        *hidden, last = self._linears
        column_sums(g_BK, last.parameters.bias_gradient)
        y_BC, g_BC = last.x_BC, last.backward(g_BK)
        for linear in reversed(hidden):
            scale = 1 / (1 - self._dropout)
            rectifier.relu_gradient(g_BC, y_BC, g_BC, linear.parameters.bias_gradient, scale=scale)
            y_BC, g_BC = linear.x_BC, linear.backward(g_BC)
        return g_BC
