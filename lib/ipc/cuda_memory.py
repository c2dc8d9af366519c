"""Sharing a GPU tensor with another process through a CUDA IPC handle.

The handle is sent as plain numbers and bytes in a ``TensorHandle``, without pickle. The owner must outlive the user.
Both processes must number the GPUs alike (CUDA_VISIBLE_DEVICES must not differ), and PyTorch's
``expandable_segments`` must be off.
"""

from typing import TypeAlias

import msgspec
import torch
from torch import Tensor
from torch.multiprocessing.reductions import rebuild_cuda_tensor, reduce_tensor

from ..errors import ProtocolError
from .messages import TensorHandle

# The last eight arguments of ``rebuild_cuda_tensor``: the allocation and its size and offset in bytes, requires_grad,
# the counter of users and its offset, the event after the owner's writes, and whether to wait for it.
_Storage: TypeAlias = tuple[bytes, int, int, bool, bytes, int, bytes, bool]


def export_handle(name: str, tensor: Tensor) -> TensorHandle:
    """Return a handle of a contiguous CUDA tensor. Each process that attaches needs its own: users are counted."""
    _, (_, _, _, offset, _, _, _, *storage) = reduce_tensor(tensor)
    address = f"cuda:{msgspec.msgpack.encode((offset, storage)).hex()}"
    return TensorHandle(name, address, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


def attach(handle: TensorHandle, device: torch.device) -> Tensor:
    """Return the owner's tensor as a tensor on ``device``, this process's own.

    The memory may be on another GPU. It is opened under this device's number, so every kernel treats it as local
    memory, and reads go over NVLink or PCIe. Raises ProtocolError for any other kind of address.
    """
    kind, _, text = handle.address.partition(":")
    try:
        content = bytes.fromhex(text if kind == "cuda" else "?")
        offset, storage = msgspec.msgpack.decode(content, type=tuple[int, _Storage])
    except (ValueError, msgspec.MsgspecError):
        raise ProtocolError(f"{handle.name} has no CUDA address: {handle.address[:40]}") from None
    strides = torch.empty(handle.shape, device="meta").stride()
    dtype, storage_type = getattr(torch, handle.dtype), torch.storage.TypedStorage
    with torch.cuda.device(device):
        tensor: Tensor = rebuild_cuda_tensor(
            Tensor, torch.Size(handle.shape), strides, offset, storage_type, dtype, device.index, *storage
        )
    return tensor
