"""Sharing a GPU tensor with another process through a CUDA IPC handle.

The handle is sent as plain numbers and bytes in a ``TensorHandle``, without pickle. The owner must outlive the user.
Both processes must number the GPUs alike (CUDA_VISIBLE_DEVICES must not differ), and PyTorch's
``expandable_segments`` must be off.
"""

import msgspec
import torch
from torch import Tensor
from torch.multiprocessing.reductions import rebuild_cuda_tensor, reduce_tensor

from lib.errors import ProtocolError
from lib.ipc.messages import TensorHandle


class _Handle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The values torch needs to open the allocation and to count its users."""

    allocation: bytes
    size_bytes: int
    offset_bytes: int
    tensor_offset: int
    ref_counter: bytes
    ref_counter_offset: int
    event: bytes
    event_sync_required: bool


def export_handle(name: str, tensor: Tensor) -> TensorHandle:
    """Return a handle of a contiguous CUDA tensor. Each process that attaches needs its own: users are counted."""
    _, fields = reduce_tensor(tensor)
    (_, _, _, tensor_offset, _, _, _, allocation, size, offset, _, counter, counter_offset, event, sync) = fields
    packed = _Handle(allocation, size, offset, tensor_offset, counter, counter_offset, event, sync)
    dtype = str(tensor.dtype).removeprefix("torch.")
    return TensorHandle(name, f"cuda:{msgspec.msgpack.encode(packed).hex()}", tuple(tensor.shape), dtype)


def attach(handle: TensorHandle, device: torch.device) -> Tensor:
    """Return the owner's tensor as a tensor on ``device``, this process's own.

    The memory may be on another GPU. It is opened under this device's number, so every kernel treats it as local
    memory, and reads go over NVLink or PCIe. Raises ProtocolError for any other kind of address.
    """
    kind, _, text = handle.address.partition(":")
    try:
        fields = msgspec.msgpack.decode(bytes.fromhex(text if kind == "cuda" else "?"), type=_Handle)
    except (ValueError, msgspec.MsgspecError):
        raise ProtocolError(f"{handle.name} has no CUDA address: {handle.address[:40]}") from None
    strides = torch.empty(handle.shape, device="meta").stride()
    with torch.cuda.device(device):
        tensor: Tensor = rebuild_cuda_tensor(
            Tensor,
            torch.Size(handle.shape),
            strides,
            fields.tensor_offset,
            torch.storage.TypedStorage,
            getattr(torch, handle.dtype),
            device.index,
            fields.allocation,
            fields.size_bytes,
            fields.offset_bytes,
            False,
            fields.ref_counter,
            fields.ref_counter_offset,
            fields.event,
            fields.event_sync_required,
        )
    return tensor
