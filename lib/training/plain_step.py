"""The training step of any network on any device, by PyTorch's own layers and autograd."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..data.augment.transform import Transform
from ..data.upload import Batch
from ..evaluation.metrics import Meter
from ..models.losses import Labels, Outputs, main_labels, main_logits
from .flat import FlatParameters
from .optimizer import Optimizer
from .precise_bn import measuring
from .split_classifier import compile_around
from .sync import SyncStrategy


class PlainStep:
    """``Step`` of ``model``, whose gradients accumulate in ``flat.gradients``, float32."""

    def __init__(
        self,
        model: nn.Module,
        flat: FlatParameters,
        *,
        loss: Callable[[Outputs, Labels, float], Tensor],
        label_smoothing: float,
        transform: Transform,
        optimizer: Optimizer,
        sync: SyncStrategy,
        dtype: torch.dtype,
        compiled: bool,
        frozen_norms: Sequence[nn.Module],
        collective: bool = False,
    ) -> None:
        """With ``collective``, passes without images are computed too: other workers wait for them."""
        self._model, self._flat, self._loss, self._label_smoothing = model, flat, loss, label_smoothing
        self._transform, self._optimizer, self._sync = transform, optimizer, sync
        self._frozen_norms, self._collective = frozen_norms, collective
        device = flat.state.device
        self._autocast = torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
        self._network: Callable[[Tensor], Outputs] = compile_around(model) if compiled else model

    def gradients(self, batch: Batch, meter: Meter, *, loss_scale: float, iteration: int, seed: int) -> None:
        self._model.train()
        for norm in self._frozen_norms:
            norm.eval()
        torch.manual_seed(seed)
        if len(batch.labels_B) or self._collective:
            outputs = self._forward(batch, self._network)
            labels = self._transform.labels(batch.labels_B, batch.params_BV)
            loss = self._loss(outputs, labels, self._label_smoothing)
            (loss * loss_scale).backward()
            meter.add(main_logits(outputs).detach(), main_labels(labels), loss, iteration)

    def update(self, lr: float, weight_decay: float) -> None:
        self._sync.begin(lr, weight_decay)
        self._sync.update(self._flat.whole)
        self._flat.gradients.zero_()

    @torch.no_grad()
    def outputs(self, batch: Batch) -> Outputs:
        self._model.eval()
        return self._forward(batch, self._network)

    @torch.no_grad()
    def measure_norms(self, batch: Batch) -> None:
        with measuring(self._model, self._frozen_norms):
            self._forward(batch, self._model)

    def refresh(self) -> None:
        self._optimizer.refresh(self._flat.whole)

    def close(self) -> None:
        pass

    def _forward(self, batch: Batch, network: Callable[[Tensor], Outputs]) -> Outputs:
        images_BCHW = self._transform(batch.images_BHWC, batch.params_BV)
        images_BCHW = images_BCHW.contiguous(memory_format=torch.channels_last)
        with self._autocast:
            return network(images_BCHW)
