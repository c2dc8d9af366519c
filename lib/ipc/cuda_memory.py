"""A tensor on one GPU that another process sees, through a CUDA IPC handle.

The handle travels as plain numbers and bytes inside a ``Share``; torch's own ``ForkingPickler`` way is not used.
The owner must outlive the user, both processes must number the GPUs alike (do not narrow
CUDA_VISIBLE_DEVICES for one of them), and PyTorch's ``expandable_segments`` must be off.
"""

import msgspec
import torch
from torch import Tensor
from torch.multiprocessing.reductions import rebuild_cuda_tensor, reduce_tensor

from lib.errors import ProtocolError
from lib.ipc.messages import Share


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


def share(name: str, tensor: Tensor) -> Share:
    """The address of a contiguous CUDA tensor. Make one for each process that will attach: users are counted."""
    _, fields = reduce_tensor(tensor)
    (_, _, _, tensor_offset, _, _, _, allocation, size, offset, _, counter, counter_offset, event, sync) = fields
    handle = _Handle(allocation, size, offset, tensor_offset, counter, counter_offset, event, sync)
    dtype = str(tensor.dtype).removeprefix("torch.")
    return Share(name, f"cuda:{msgspec.msgpack.encode(handle).hex()}", tuple(tensor.shape), dtype)


def attach(share: Share, device: torch.device) -> Tensor:
    """The owner's tensor, seen from ``device``, this process's own.

    Opened under our own device number although the memory may be another GPU's: so it behaves as local memory
    to every kernel, and reads go over NVLink or PCIe. Raises ProtocolError for any other kind of address.
    """
    kind, _, text = share.address.partition(":")
    try:
        handle = msgspec.msgpack.decode(bytes.fromhex(text if kind == "cuda" else "?"), type=_Handle)
    except (ValueError, msgspec.MsgspecError):
        raise ProtocolError(f"{share.name} has no CUDA address: {share.address[:40]}") from None
    strides = torch.empty(share.shape, device="meta").stride()
    with torch.cuda.device(device):
        tensor: Tensor = rebuild_cuda_tensor(
            Tensor,
            torch.Size(share.shape),
            strides,
            handle.tensor_offset,
            torch.storage.TypedStorage,
            getattr(torch, share.dtype),
            device.index,
            handle.allocation,
            handle.size_bytes,
            handle.offset_bytes,
            False,
            handle.ref_counter,
            handle.ref_counter_offset,
            handle.event,
            handle.event_sync_required,
        )
    return tensor
