"""A tensor on one GPU that another process sees, through a CUDA IPC handle.

The handle travels as plain numbers and bytes inside a ``TensorHandle``; torch's own ``ForkingPickler`` way is not used.
The owner must outlive the user, both processes must number the GPUs alike (do not narrow
CUDA_VISIBLE_DEVICES for one of them), and PyTorch's ``expandable_segments`` must be off.
"""

import msgspec
import torch
from torch import Tensor
from torch.multiprocessing.reductions import rebuild_cuda_tensor, reduce_tensor

from lib.errors import ProtocolError
from lib.ipc.messages import TensorHandle


class _Handle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What torch needs to find the allocation again, and to count who uses it."""

    allocation: bytes
    size_bytes: int
    offset_bytes: int
    tensor_offset: int
    ref_counter: bytes
    ref_counter_offset: int
    event: bytes
    event_sync_required: bool


def export_handle(name: str, tensor: Tensor) -> TensorHandle:
    """The address of a contiguous CUDA tensor. Make one for each process that will attach: users are counted."""
    _, fields = reduce_tensor(tensor)
    (_, _, _, tensor_offset, _, _, _, allocation, size, offset, _, counter, counter_offset, event, sync) = fields
    fields_ = _Handle(allocation, size, offset, tensor_offset, counter, counter_offset, event, sync)
    dtype = str(tensor.dtype).removeprefix("torch.")
    return TensorHandle(name, f"cuda:{msgspec.msgpack.encode(fields_).hex()}", tuple(tensor.shape), dtype)


def attach(handle: TensorHandle, device: torch.device) -> Tensor:
    """The owner's tensor, seen from ``device``, this process's own.

    Opened under our own device number although the memory may be another GPU's: so it behaves as local memory
    to every kernel, and reads go over NVLink or PCIe. Raises ProtocolError for any other kind of address.
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
