import torch
from torch import nn

from lib.training.flat import FlatParameters


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 5))


def test_parameters_gradients_and_momentum_stay_views_of_the_flat_state() -> None:
    model, before = network(), network()
    flat = FlatParameters(model, torch.zeros)
    shared = [*model.parameters(), *flat.momentum_of.values(), *(b for b in model.buffers() if b.is_floating_point())]
    for _ in range(3):
        flat.gradients.zero_()
        model(torch.randn(2, 3, 8, 8)).sum().backward()
        flat.parameters -= 0.1 * flat.gradients
    model.load_state_dict(before.state_dict())
    row = flat.state.untyped_storage().data_ptr()
    assert all(tensor.untyped_storage().data_ptr() == row for tensor in shared)
    gradients = flat.gradients.untyped_storage().data_ptr()
    assert all(p.grad is not None and p.grad.untyped_storage().data_ptr() == gradients for p in model.parameters())
    for name, value in before.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)


def test_weights_come_first_and_nothing_overlaps() -> None:
    model = network()
    flat = FlatParameters(model, torch.zeros)
    flat.state.zero_()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0 if parameter.ndim > 1 else 2.0)
        for velocity in flat.momentum_of.values():
            velocity += 4.0
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer += 8.0
    n = sum(p.numel() for p in model.parameters())
    biases = sum(p.numel() for p in model.parameters() if p.ndim == 1)
    counts = {value: int((flat.state == value).sum()) for value in (1.0, 2.0, 4.0, 8.0)}
    assert counts == {1.0: n - biases, 2.0: biases, 4.0: n, 8.0: 8}
    assert (flat.parameters[: flat.n_weights] != 2).all()
    assert (flat.parameters[flat.n_weights :] != 1).all()
