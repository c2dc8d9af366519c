"""A fused network's classifier that is split over the workers: ``lib.training.split_classifier`` in kernels."""

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn

from ..kernels import rectifier
from ..kernels.columns import column_sums
from ..kernels.keyed_dropout import keyed_dropout
from ..models.fused_classifier import FusedClassifier
from .split_classifier import SplitClassifier


class FusedSplitClassifier(FusedClassifier):
    """One worker's share of ``classifier``, whose layers are linear with ReLU and dropout."""

    def __init__(
        self, classifier: SplitClassifier, weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
    ) -> None:
        super().__init__(classifier, weights, gradients)
        self._split, self._joints = classifier, classifier.joints
        numbers = [number for number, layer in enumerate(classifier.children()) if isinstance(layer, nn.Dropout)]
        self._masks = [(number, classifier.first_columns[number]) for number in numbers]
        self._outputs: list[Tensor] = []

    def forward(self, x_BC: Tensor, *, training: bool) -> Tensor:
        if not training:
            return self._split.whole(x_BC)
        batch, joints = self._split.batch, self._joints
        x_NC = joints.rows.forward(x_BC)
        self._outputs = []
        for linear, (number, first_column), joint in zip(self._linears, self._masks, joints.columns, strict=False):
            y_Nw = linear.forward(x_NC)
            key = batch.images_N, batch.seed, number, first_column
            y_Nw = keyed_dropout(y_Nw, self._dropout, *key, relu=True)
            self._outputs.append(y_Nw)
            x_NC = joint.forward(y_Nw)
        return joints.logits.forward(self._linears[-1].forward(x_NC), len(x_BC))

    def backward(self, g_BK: Tensor) -> Tensor:
        g_Nw = self._joints.logits.backward(g_BK).contiguous()
        column_sums(g_Nw, self._linears[-1].parameters.bias_gradient)
        scale = 1 / (1 - self._dropout)
        layers = zip(self._joints.columns, self._outputs, pairwise(self._linears), strict=True)
        for joint, y_Nw, (linear, following) in reversed(list(layers)):
            g_Nw = joint.backward(following.backward(g_Nw)).contiguous()
            rectifier.relu_gradient(g_Nw, y_Nw, g_Nw, linear.parameters.bias_gradient, scale=scale)
        self._outputs = []
        return self._joints.rows.backward(self._linears[0].backward(g_Nw))
