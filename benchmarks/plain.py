"""The training step as a careful user of PyTorch writes it, with torch's layers, optimizer and compiler."""

import contextlib
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.ours import RATE, check_finite, synchronize
from lib.models.layers import flat_length
from lib.models.losses import Outputs
from lib.models.registry import model_spec
from lib.types import PUBLISHED, Variant


class Sizes(NamedTuple):
    """The sizes of a step."""

    batch: int
    crop: int
    classes: int


Loss = Callable[[Outputs, Tensor], Tensor]


def plain_alexnet(n_classes: int, crop: int) -> nn.Module:
    """Return the network of ``lib.models.alexnet`` in torch's own layers: the same function of the same weights."""

    def norm() -> nn.Module:
        return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)  # torch divides alpha by 5

    features = nn.Sequential(
        *(nn.Conv2d(3, 96, 11, 4), nn.ReLU(), nn.MaxPool2d(3, 2), norm()),
        *(nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2), norm()),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
    )
    network = nn.Sequential(
        *features,
        nn.Flatten(),
        *(nn.Linear(flat_length(features, crop), 4096), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(4096, n_classes),
    )
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.01 if isinstance(layer, nn.Conv2d) else 0.005)
    return network


def plain_network(name: str, n_classes: int, crop: int, variant: Variant = PUBLISHED) -> tuple[nn.Module, Loss]:
    """Return a network in torch's own layers, and its mean loss. All networks but alexnet use only such layers."""
    if name == "alexnet":
        mean = nn.CrossEntropyLoss()
        return plain_alexnet(n_classes, crop), mean
    spec = model_spec(name)
    total = spec.loss_function()
    return spec.build(
        n_classes, crop, variant=variant
    ), lambda outputs, labels_B: total(outputs, labels_B, 0.0) / len(labels_B)


class BaselineStep:
    """Forward, backward and ``torch.optim.SGD`` on images that are on the device already.

    The images are cropped and normalized in advance, which favors this peer.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        *,
        sizes: Sizes,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        tf32: bool = False,
        tuned: bool = False,
        compile_mode: str | None = None,
    ) -> None:
        """``tuned`` enables channels_last and the fused optimizer, ``compile_mode`` torch.compile with that mode."""
        layout = torch.channels_last if tuned else torch.contiguous_format
        # nn.Module.to has no typed overload for a memory format.
        network.to(device=device, memory_format=layout)  # type: ignore[call-overload]
        self.network = network.train()
        self._loss, self._batch_size, self.device, self._tf32 = loss, sizes.batch, device, tf32
        self._optimizer = torch.optim.SGD(
            network.parameters(), lr=RATE, momentum=0.9, weight_decay=5e-4, fused=tuned or None
        )
        self._autocast = torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
        self._forward: Callable[[Tensor], Outputs] = network
        if compile_mode:
            self._forward = torch.compile(network, mode=compile_mode, dynamic=False)
        self._batches = cycle(
            (
                (128 * torch.rand(sizes.batch, 3, sizes.crop, sizes.crop, device=device) - 64).to(memory_format=layout),
                torch.randint(0, sizes.classes, (sizes.batch,), device=device),
            )
            for _ in range(2)
        )

    def step(self) -> Tensor:
        """Do one training iteration and return its loss."""
        images_BCHW, labels_B = next(self._batches)
        with self._autocast:
            loss = self._loss(self._forward(images_BCHW), labels_B)
        loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def images_per_s(self, iterations: int) -> float:
        """Do ``iterations`` steps and return the images per second."""
        with arithmetic(tf32=self._tf32):
            synchronize(self.device)
            start = time.perf_counter()
            for _ in range(iterations):
                loss = self.step()
            synchronize(self.device)
            elapsed = time.perf_counter() - start
        check_finite(loss.item())
        return iterations * self._batch_size / elapsed


@contextlib.contextmanager
def arithmetic(*, tf32: bool) -> Iterator[None]:
    """Set inside the block whether float32 products use TF32, and let cuDNN choose kernels by benchmark."""
    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    cudnn.allow_tf32, cudnn.benchmark = tf32, True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        _, cudnn.allow_tf32, cudnn.benchmark = before
