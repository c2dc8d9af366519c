"""The classifier of a network, split over the workers (arXiv:1404.5997): each owns a share of every layer's columns.

Its parameters are the worker's rows of the whole classifier's, under the same names. In training all workers compute
it together. In evaluation each computes the whole classifier for itself, with weights that were gathered before.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..exchange.base import Exchange
from ..models.layers import FeatureClassifier
from ..models.losses import Outputs
from .keyed_dropout import keyed_dropout
from .shares import Shares
from .split_layers import ColumnGather, LogitsToRows, RowGather, SharedBatch, batch_norm

_Elementwise = (nn.ReLU, nn.Threshold, nn.SiLU, nn.Mish)


class WholeModule:
    """What is split as one worker computes it, with the weights of all. It holds them only while they are needed."""

    def __init__(self, template: nn.Module) -> None:
        """``template`` is the module before it was split."""
        self.tensors: dict[str, Tensor] = template.state_dict()
        """its parameters and buffers by name, new or gathered; empty where it cannot compute"""
        self.template = template.to("meta").eval()

    def __call__(self, x_BC: Tensor) -> Tensor:
        assert self.tensors, "evaluated outside SyncStrategy.synchronized"
        result: Tensor = torch.func.functional_call(self.template, self.tensors, (x_BC,))
        return result

    def __deepcopy__(self, _: dict[int, Any]) -> "WholeModule":
        return self


class SplitClassifier(nn.Module):
    """One worker's share of ``classifier``: features (B, F) of its images to their logits (B, K)."""

    def __init__(
        self,
        classifier: nn.Sequential,
        exchange: Exchange,
        batch: SharedBatch,
        dtype: torch.dtype,
        rows: RowGather | None = None,
    ) -> None:
        """Activations travel in ``dtype``. Called by all workers, with equal classifiers.

        ``rows`` is what gathers the images' rows, where that is not the classifier's first layer.
        """
        super().__init__()
        self.batch, self._dtype = batch, dtype
        shares = batch.shares
        linears = [layer for layer in classifier if isinstance(layer, nn.Linear)]
        self.joints = _Joints(
            rows or RowGather(exchange, batch, linears[0].in_features, dtype),
            [ColumnGather(exchange, batch, layer.out_features, dtype) for layer in linears[:-1]],
            LogitsToRows(exchange, batch, linears[-1].out_features, dtype),
        )
        columns = 0
        self.first_columns: list[int] = []
        for name, layer in classifier.named_children():
            if isinstance(layer, nn.Linear):
                columns = layer.out_features
            # Before the first linear layer, each worker computes all columns.
            self.first_columns.append(shares.own(columns).start if columns else 0)
            self.add_module(name, cut(layer, shares))
        self.whole = WholeModule(classifier)

    @property
    def sent_bytes(self) -> int:
        """Bytes of activations and their gradients that other workers read of this one in a step of full batches."""
        joints = self.joints
        return joints.rows.sent_bytes + joints.logits.sent_bytes + sum(joint.sent_bytes for joint in joints.columns)

    def forward(self, x_BC: Tensor) -> Tensor:
        if not self.training:
            return self.whole(x_BC)
        return self.of_all_rows(gather_rows(x_BC.to(self._dtype), self.joints.rows), len(x_BC))

    def of_all_rows(self, x: Tensor, count: int) -> Tensor:
        """Return the logits (count, K) of this worker's images, from the features (N, F) of all workers'."""
        batch, joints = self.batch, self.joints
        columns, is_first = iter(joints.columns), True
        for number, (layer, first_column) in enumerate(zip(self.children(), self.first_columns, strict=True)):
            if isinstance(layer, nn.Linear):
                if not is_first:
                    x = gather_columns(x, next(columns))
                x, is_first = layer(x), False
            elif isinstance(layer, nn.Dropout):
                x = keyed_dropout(x, layer.p, batch.images_N, batch.seed, number, first_column)
            elif isinstance(layer, nn.BatchNorm1d):
                x = batch_norm(layer, x, batch.rows_with_image())
            else:
                x = layer(x)
        logits_BK: Tensor = _LogitsToRows.apply(x, joints.logits, count)  # type: ignore[no-untyped-call]
        return logits_BK


class _Joints:
    """Where the workers meet."""

    def __init__(self, rows: RowGather, columns: Sequence[ColumnGather], logits: LogitsToRows) -> None:
        self.rows, self.columns, self.logits = rows, columns, logits

    def __deepcopy__(self, _: dict[int, Any]) -> "_Joints":
        return self


class SplitNetwork(nn.Module):
    """A network whose features each worker computes for its own images, and whose classifier is split."""

    def __init__(self, model: FeatureClassifier, exchange: Exchange, batch: SharedBatch, dtype: torch.dtype) -> None:
        super().__init__()
        self.features, self.pool = model.features, model.pool
        first = next(layer for layer in model.classifier if isinstance(layer, nn.Linear))
        self._n_features = first.in_features
        self.classifier = SplitClassifier(model.classifier, exchange, batch, dtype)
        model.register_module("classifier", self.classifier)
        self._model = (model,)  # in a tuple: its modules are those of this one
        self.whole = self.classifier.whole

    @property
    def owned(self) -> tuple[str, nn.Module]:
        """What the names of the part begin with of which each worker has a share, and that part."""
        return "classifier.", self.classifier

    def forward(self, images_BCHW: Tensor) -> Tensor:
        if len(images_BCHW):
            logits_BK: Tensor = self._model[0](images_BCHW)
            return logits_BK
        # Without the features, because a batch norm's statistics of nothing are not finite.
        trained = self.training and any(parameter.requires_grad for parameter in self.features.parameters())
        features_BC = images_BCHW.new_zeros(0, self._n_features, requires_grad=trained)
        return self.classifier(features_BC)  # type: ignore[no-any-return]


def check_can_split(name: str, model: nn.Module) -> FeatureClassifier:
    """Return ``model``, the network ``name``. Raise ConfigError unless its classifier can be split."""
    why = "has no classifier of linear layers"
    if isinstance(model, FeatureClassifier):
        layers = list(model.classifier)
        first = next((number for number, layer in enumerate(layers) if isinstance(layer, nn.Linear)), len(layers))
        before = all(isinstance(layer, nn.Flatten | nn.Dropout) for layer in layers[:first])
        known = (nn.Linear, nn.Dropout, nn.BatchNorm1d, *_Elementwise)
        if before and layers[first:] and all(isinstance(layer, known) for layer in layers[first:]):
            return model
        why = "has a classifier with other layers"
    raise ConfigError(
        f"model.parallel is classifier, but {name} {why}; choose alexnet, alexnet_owt, alexnet_owt_bn, alexnet_towers, "
        "overfeat or a vgg, or set model.parallel to none"
    )


def compile_around(network: nn.Module) -> Callable[[Tensor], Outputs]:
    """Return ``network`` compiled, all but the layers that several workers compute together."""
    for module in network.modules():
        if isinstance(module, SplitClassifier):
            module.forward = torch.compiler.disable(module.forward)  # type: ignore[method-assign]
    compiled: Callable[[Tensor], Outputs] = torch.compile(network, dynamic=False)
    return compiled


@torch.no_grad()
def cut(layer: nn.Module, shares: Shares) -> nn.Module:
    """Return this worker's share of ``layer``."""
    if isinstance(layer, nn.Linear):
        share: nn.Module = nn.Linear(layer.in_features, shares.width(layer.out_features), device="meta")
    elif isinstance(layer, nn.BatchNorm1d):
        share = nn.BatchNorm1d(shares.width(layer.num_features), layer.eps, layer.momentum, device="meta")
    else:
        return layer
    share.to_empty(device=next(layer.parameters()).device)
    for own, whole in zip(
        (*share.parameters(), *share.buffers()), (*layer.parameters(), *layer.buffers()), strict=True
    ):
        own.copy_(shares.cut(whole) if whole.ndim else whole)
    return share


def gather_rows(x_BC: Tensor, joint: RowGather) -> Tensor:
    """Return the rows (N, C) of all workers."""
    rows: Tensor = _RowGather.apply(x_BC, joint)  # type: ignore[no-untyped-call]
    return rows


def gather_columns(x_Nw: Tensor, joint: ColumnGather) -> Tensor:
    """Return the columns (N, C) of all workers."""
    columns: Tensor = _ColumnGather.apply(x_Nw, joint)  # type: ignore[no-untyped-call]
    return columns


class _RowGather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_BC: Tensor, joint: RowGather):  # type: ignore[no-untyped-def]
        ctx.joint, ctx.count = joint, len(x_BC)
        return joint.forward(x_BC)

    @staticmethod
    def backward(ctx, g_NC: Tensor):  # type: ignore[no-untyped-def]
        return ctx.joint.backward(g_NC)[: ctx.count], None


class _ColumnGather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_Nw: Tensor, joint: ColumnGather):  # type: ignore[no-untyped-def]
        ctx.joint = joint
        return joint.forward(x_Nw)

    @staticmethod
    def backward(ctx, g_NC: Tensor):  # type: ignore[no-untyped-def]
        return ctx.joint.backward(g_NC), None


class _LogitsToRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_Nw: Tensor, joint: LogitsToRows, count: int):  # type: ignore[no-untyped-def]
        ctx.joint = joint
        return joint.forward(x_Nw, count)

    @staticmethod
    def backward(ctx, g_BK: Tensor):  # type: ignore[no-untyped-def]
        return ctx.joint.backward(g_BK), None, None
