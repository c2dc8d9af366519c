"""AlexNet by hand against AlexNet by PyTorch's layers and automatic gradients."""

import pytest
import torch
from torch.nn import functional

from lib.data.views import apply_views
from lib.exchange.flat import Flat
from lib.kernels.loss import cross_entropy
from lib.kernels.views import to_blocks
from lib.models.alexnet import AlexNet
from lib.models.alexnet_fused import FusedAlexNet

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("crop", [71])
def test_logits_and_gradients_are_the_plain_networks(crop: int) -> None:
    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = False
    model = AlexNet(10, crop).to(DEVICE)
    with torch.no_grad():
        for parameter in model.parameters():  # so that logits differ, and gradients are not tiny
            parameter *= 3 if parameter.ndim > 1 else 1
    flat = Flat(model, lambda numel: torch.zeros(numel, device=DEVICE))
    found = torch.full_like(flat.parameters, float("nan"))
    fused = FusedAlexNet(model, crop, flat.by_name(flat.parameters), flat.by_name(found))
    images = torch.randint(0, 256, (3, 72, 72, 3), dtype=torch.uint8, device=DEVICE)
    x = apply_views(images, torch.full((72, 72, 3), 120.0, device=DEVICE), torch.zeros(3, 3, device=DEVICE), crop)
    labels = torch.tensor([3, 7, 0], device=DEVICE)
    blocks = to_blocks(x, fused.block, fused.rows)

    torch.testing.assert_close(fused.forward(blocks, training=False), model.eval()(x), rtol=1e-4, atol=1e-4)

    for module in (model.classifier[3], model.classifier[6]):
        module.p = 0.0  # without chance, the same in both
    fused._dropout = 0.0
    functional.cross_entropy(model.train()(x), labels, reduction="sum").mul(0.5).backward()
    logits, ready = fused.forward(blocks, training=True), {}
    g = torch.empty_like(logits)
    cross_entropy(logits, labels, torch.tensor(3, device=DEVICE), torch.tensor(0.5, device=DEVICE), 0.0, g)
    by_name = flat.by_name(found)
    fused.backward(g, lambda part: ready.update({name: by_name[name].clone() for name in fused.ready[part]}))
    # On a GPU, convolutions may differ in the last bits, and now and then another value of a window is the largest.
    bound = 1e-5 if DEVICE.type == "cpu" else 5e-3
    for name, expected in flat.by_name(flat.gradients).items():
        difference = (by_name[name] - expected).norm() / expected.norm()
        assert difference < bound, (name, difference)
    assert [*ready] == [*by_name][: len(ready)]  # in the order in which they lie in the row
    for name, gradient in ready.items():
        assert torch.equal(gradient, by_name[name])  # as ready as was said
