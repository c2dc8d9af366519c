"""AlexNet's training step by hand: the function of ``lib.models.alexnet``, forwards and backwards, at full speed.

What is different from the plain network, and why it is faster:

- The first convolution, 11 x 11 with stride 4 on 3 channels, is 3 x 3 with stride 1 on 48: squares of 4 x 4 pixels
  become channels, which the matrix units want many of.
- Channels come last in memory, and a convolution in two groups is two plain ones on tensors of their own, so that
  nothing is ever copied apart or together: the kernels between convolutions read and write both.
- Bias, ReLU, pooling and response norm are a pass or two over memory each way (``lib.kernels``).
- Gradients of weights are written where update and exchange want them, none is ever added to zeros; those of the
  classifier, 96 % of all numbers, are ready first and may be exchanged while the convolutions go on; those of the
  other convolutions while the first one does.
"""

from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.nn import functional

from lib.kernels import rectifier
from lib.kernels.columns import column_sums
from lib.models.alexnet import AlexNet
from lib.models.fused_layers import BLOCK, Groups, Linear, Parameters
from lib.models.fused_stages import STAGES


class FusedAlexNet:
    """Forward and backward pass of ``model``, for crops of side ``crop``.

    ``weights`` are its parameters in the type to compute in, ``gradients`` what becomes of them, by name; both may be
    views into larger rows.
    """

    block = BLOCK

    def __init__(
        self, model: AlexNet, crop: int, weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
    ) -> None:
        layers = list(model.features)
        places = [i for i, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
        groups_after = [*[layer.groups for layer in layers if isinstance(layer, nn.Conv2d)][1:], 1]
        self._stages = [
            STAGES[tuple(map(type, layers[i:after]))](
                layers[i:after], groups, Parameters.of(f"features.{i}", weights, gradients)
            )
            for i, after, groups in zip(places, [*places[1:], len(layers)], groups_after, strict=True)
        ]
        linears = [f"classifier.{i}" for i, layer in enumerate(model.classifier) if isinstance(layer, nn.Linear)]
        self._linears = [Linear(Parameters.of(name, weights, gradients)) for name in linears]
        self._dropout = next(layer.p for layer in model.classifier if isinstance(layer, nn.Dropout))
        self.ready = [
            [f"{name}.weight" for name in reversed(linears)],
            [f"features.{place}.weight" for place in reversed(places[1:])],
        ]
        # As many squares as the first convolution, three of them wide, needs for its (crop - 11) // 4 + 1 results.
        self.rows = (crop - 11) // BLOCK + 1 + 2

    def forward(self, images: Tensor, *, training: bool) -> Tensor:
        groups: Groups = (images,)
        for stage in self._stages:
            groups = stage.forward(groups)
        (x_BC,) = groups
        for linear in self._linears[:-1]:
            x_BC = linear.forward(x_BC).relu_()
            if training:
                x_BC = functional.dropout(x_BC, self._dropout)
        return self._linears[-1].forward(x_BC)

    def backward(self, g_BK: Tensor, on_ready: Callable[[int], None]) -> None:
        *before, last = self._linears
        column_sums(g_BK, last.parameters.bias_gradient)
        y_BC, g_BC = last.x_BC, last.backward(g_BK)
        for linear in reversed(before):
            scale = 1 / (1 - self._dropout)
            rectifier.relu_gradient(g_BC, y_BC, g_BC, linear.parameters.bias_gradient, scale=scale)
            y_BC, g_BC = linear.x_BC, linear.backward(g_BC)
        on_ready(0)
        groups: Groups = (g_BC,)
        first, *others = self._stages
        for stage in reversed(others):
            groups = stage.backward(groups)
        on_ready(1)
        first.backward(groups)
