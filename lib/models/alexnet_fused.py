"""AlexNet's training step with hand-written kernels: the function of ``lib.models.alexnet``, forward and backward.

It is faster than the plain network for these reasons:

- The first convolution, 11 x 11 with stride 4 on 3 channels, becomes 3 x 3 with stride 1 on 48 channels: blocks of
  4 x 4 pixels become channels, because tensor cores need many of them.
- Memory is channels-last, and a convolution with two groups is two convolutions on separate tensors. The kernels
  between convolutions read and write both tensors, so nothing is split or concatenated.
- Bias, ReLU, pooling and response norm take one or two passes over memory in each direction (``lib.kernels``).
- Gradients are written directly to where update and exchange read them, never added to zeros. Those of the classifier
  (96 % of all parameters) are ready first and can be exchanged during the backward pass of the convolutions, and
  those of the other convolutions during that of the first one.
"""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from .fused_classifier import FusedClassifier
from .fused_layers import BLOCK, Groups, Parameters
from .fused_stages import STAGES
from .input_layout import InputLayout


class FusedAlexNet:
    """The forward and backward pass of ``model``, for crops of side ``crop``.

    ``weights`` are the model's parameters in the dtype of the computation, ``gradients`` the tensors that receive
    their gradients, both by name. They may be views of larger buffers. ``classifier`` replaces the model's own, where
    workers compute it together.
    """

    masks_short_batches = True
    stream = None

    def __init__(
        self,
        model: nn.Module,
        crop: int,
        weights: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        classifier: FusedClassifier | None = None,
    ) -> None:
        layers = list(model.get_submodule("features").children())
        starts = [i for i, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
        next_groups = [*[layer.groups for layer in layers if isinstance(layer, nn.Conv2d)][1:], 1]
        self._stages = [
            STAGES[tuple(map(type, layers[start:stop]))](
                layers[start:stop], groups, Parameters.of(f"features.{start}", weights, gradients)
            )
            for start, stop, groups in zip(starts, [*starts[1:], len(layers)], next_groups, strict=True)
        ]
        self._classifier = classifier or FusedClassifier(model.get_submodule("classifier"), weights, gradients)
        self.collective = classifier is not None
        self.segments = [
            self._classifier.weights,
            [f"features.{start}.weight" for start in reversed(starts[1:])],
        ]
        # The first convolution has (crop - 11) // 4 + 1 outputs and is 3 blocks wide.
        self.layout = InputLayout(BLOCK, (crop - 11) // BLOCK + 1 + 2, 0, 3 * BLOCK**2)

    def forward(self, images: Tensor, *, training: bool, eager: bool = False) -> tuple[Tensor, ...]:
        groups: Groups = (images,)
        for stage in self._stages:
            groups = stage.forward(groups)
        (x_BC,) = groups
        return (self._classifier.forward(x_BC, training=training),)

    def backward(self, gradients: Sequence[Tensor], on_ready: Callable[[int], None], *, add: bool = False) -> None:
        assert not add  # the kernels write gradients
        (g_BK,) = gradients
        groups: Groups = (self._classifier.backward(g_BK),)
        on_ready(0)
        first, *others = self._stages
        for stage in reversed(others):
            groups = stage.backward(groups)
        on_ready(1)
        first.backward(groups)

    def measure_norms(self, images_BYXC: Tensor) -> None:
        """Do nothing: there are no batch norms."""

    def refresh(self) -> None:
        """Do nothing: all weights are trained."""
