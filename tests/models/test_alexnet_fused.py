"""The fused AlexNet computes the logits and gradients of the plain one."""

import torch
from torch import Tensor
from torch.nn import functional

from lib.data.augment.transform import crop_and_normalize
from lib.kernels.crop import to_blocks
from lib.kernels.loss import cross_entropy
from lib.models.alexnet import AlexNet
from lib.models.alexnet_fused import FusedAlexNet
from lib.training.flat import FlatParameters

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CROP = 71


class Twins:
    """The same network twice: plain in float32, and fused with weights, gradients and images in ``dtype``."""

    def __init__(self, dtype: torch.dtype, count: int) -> None:
        torch.manual_seed(0)
        torch.backends.cudnn.allow_tf32 = False
        model = self.model = AlexNet(10, CROP).to(DEVICE)
        with torch.no_grad():
            for parameter in model.parameters():  # larger weights: logits differ, and gradients are not tiny
                parameter.mul_(3 if parameter.ndim > 1 else 1)
                parameter.copy_(parameter.to(dtype))
        self.flat = FlatParameters(model, lambda numel: torch.zeros(numel, device=DEVICE))
        weights = self.flat.parameters if dtype == torch.float32 else self.flat.parameters.to(dtype)
        self.found = self.flat.views(torch.full_like(weights, float("nan")))
        self.fused = FusedAlexNet(model, CROP, self.flat.views(weights), self.found)
        images = torch.randint(0, 256, (count, 72, 72, 3), dtype=torch.uint8, device=DEVICE)
        mean, params = torch.full((72, 72, 3), 120.0, device=DEVICE), torch.zeros(count, 3, device=DEVICE)
        self.x = crop_and_normalize(images, mean, params, CROP)
        self.labels = torch.tensor([3, 7, 0], device=DEVICE)[:count]
        self.blocks = to_blocks(self.x, self.fused.layout.side, self.fused.layout.rows).to(dtype)

    def disable_dropout(self) -> None:
        for module in (self.model.classifier[3], self.model.classifier[6]):
            module.p = 0.0  # type: ignore[assignment]
        self.fused._classifier._dropout = 0.0

    def plain_gradients(self) -> dict[str, Tensor]:
        functional.cross_entropy(self.model.train()(self.x), self.labels, reduction="sum").mul(0.5).backward()
        return dict(self.flat.views(self.flat.gradients))

    def fused_gradients(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return all gradients, and copies of those reported as ready, made at that time."""
        (logits,), ready = self.fused.forward(self.blocks, training=True), {}
        g, count = torch.empty_like(logits), torch.tensor(len(logits), device=DEVICE)
        cross_entropy(logits, self.labels, count, torch.tensor(0.5, device=DEVICE), 0.0, g)
        self.fused.backward(
            (g,), lambda i: ready.update({name: self.found[name].clone() for name in self.fused.segments[i]})
        )
        return dict(self.found), ready


def distance(found: Tensor, expected: Tensor) -> float:
    """Return the norm of the difference, relative to the norm of ``expected``."""
    return float((found.detach().float() - expected.detach()).norm() / expected.detach().norm())


def test_logits_and_gradients_equal_the_plain_networks() -> None:
    twins = Twins(torch.float32, 2)
    bound = 1e-5 if DEVICE.type == "cpu" else 1e-4
    plain_logits = twins.model.eval()(twins.x)
    (logits,) = twins.fused.forward(twins.blocks, training=False)
    torch.testing.assert_close(logits, plain_logits, rtol=bound, atol=bound)
    twins.disable_dropout()
    plain, (fused, ready) = twins.plain_gradients(), twins.fused_gradients()
    # On a GPU, convolutions differ in the last bits, which sometimes changes the maximum of a pooling window.
    bound = 1e-5 if DEVICE.type == "cpu" else 5e-3
    for name, expected in plain.items():
        assert distance(fused[name], expected) < bound, name
    assert [*ready] == [*fused][: len(ready)]  # in the order of the flat buffer
    for name, gradient in ready.items():
        assert torch.equal(gradient, fused[name])  # it was complete when reported


def test_in_bfloat16_they_differ_from_float32_only_by_rounding() -> None:
    """Errors grow toward the first layer; 0.28 is the error of PyTorch's own autocast there."""
    twins = Twins(torch.bfloat16, 2)
    (logits,) = twins.fused.forward(twins.blocks, training=False)
    assert distance(logits, twins.model.eval()(twins.x)) < 0.02
    twins.disable_dropout()
    plain, (fused, _) = twins.plain_gradients(), twins.fused_gradients()
    for name, expected in plain.items():
        assert fused[name].dtype == torch.bfloat16
        bound = 0.08 if name.startswith("classifier") else 0.28
        assert distance(fused[name], expected) < bound, name
