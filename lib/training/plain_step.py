"""The training step of any network on any device, by PyTorch's own layers and automatic gradients."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lib.data.augment.transform import Transform
from lib.data.upload import Batch
from lib.evaluation.metrics import Meter
from lib.models.losses import Outputs, main_logits
from lib.training.flat import Flat
from lib.training.optimizer import MomentumSGD
from lib.training.sync import SyncStrategy


class PlainStep:
    """``Step`` of ``model``, whose gradients are added up in ``flat.gradients``, float32."""

    def __init__(
        self,
        model: nn.Module,
        flat: Flat,
        *,
        loss: Callable[[Outputs, Tensor, float], Tensor],
        label_smoothing: float,
        transform: Transform,
        optimizer: MomentumSGD,
        rule: SyncStrategy,
        dtype: torch.dtype,
        compiled: bool,
        frozen_norms: Sequence[nn.Module],
    ) -> None:
        self._model, self._flat, self._loss, self._label_smoothing = model, flat, loss, label_smoothing
        self._transform, self._optimizer, self._sync = transform, optimizer, rule
        self._frozen_norms = frozen_norms
        device = flat.state.device
        self._autocast = torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
        self._network: Callable[[Tensor], Outputs] = torch.compile(model, dynamic=False) if compiled else model
        # Channels last is what a GPU's matrix units want; a CPU computes as it always did.
        self._layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format

    def add_gradients(self, batch: Batch, meter: Meter, *, loss_scale: float, iteration: int, seed: int) -> None:
        self._model.train()
        for norm in self._frozen_norms:
            norm.eval()
        torch.manual_seed(seed)
        if len(batch.labels_B):
            outputs = self._forward(batch)
            loss = self._loss(outputs, batch.labels_B, self._label_smoothing)
            (loss * loss_scale).backward()
            meter.add(main_logits(outputs).detach(), batch.labels_B, loss, iteration)

    def update(self, *, rate: float, weight_decay: float) -> None:
        self._optimizer.rate, self._optimizer.weight_decay = rate, weight_decay
        self._sync.update(slice(0, len(self._flat.parameters)))
        self._flat.gradients.zero_()

    @torch.no_grad()
    def outputs(self, batch: Batch) -> Outputs:
        self._model.eval()
        return self._forward(batch)

    def refresh(self) -> None:
        """Nothing is derived from the weights here."""

    def _forward(self, batch: Batch) -> Outputs:
        images_BCHW = self._transform(batch.images_BHWC, batch.params_BV).contiguous(memory_format=self._layout)
        with self._autocast:
            return self._network(images_BCHW)
