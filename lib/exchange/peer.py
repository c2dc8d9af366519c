"""Average replicas by reading the memory of the other processes of one machine.

Each replica's memory is divided into one chunk per worker. Each worker averages its own chunk over all replicas, in
its own memory. Then all workers copy the finished chunks from each other. A chunk is computed once and copied, so all
replicas hold the same bits for any number of workers. Three barriers separate reads from writes: a worker passes a
barrier only after all workers have reached it.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ..errors import ProtocolError
from ..ipc import cuda_memory, shared_memory
from ..ipc.channel import Channel
from ..ipc.messages import Barrier, TensorHandle
from ..system.cache_blocks import cache_blocks
from .activations import SharedActivations
from .base import chunks, count_differing, raise_if_differing


class Peer:
    """``Exchange`` among the workers of one machine: through mapped memory on CPUs, through CUDA IPC on GPUs."""

    capturable = False
    lag = 0

    def __init__(
        self,
        rank: int,
        channels: Mapping[int, Channel],
        device: torch.device,
        across: Callable[[Tensor], None] | None = None,
    ) -> None:
        """``channels`` connect this worker with each other one, by rank.

        ``across`` averages a chunk, already averaged within this machine, over the machines.
        """
        self.stopping = self.stop_requested = False
        self.exchanged_s = 0.0
        self.rank, self._channels, self._device, self._across = rank, channels, device, across
        self.world_size = len(channels) + 1
        self._step = 0
        self._allocations: list[list[Tensor]] = []  # the tensors of all replicas, by rank, for each ``allocate``

    def allocate(self, numel: int, dtype: torch.dtype = torch.float32) -> Tensor:
        name, size = f"replica {self.rank}", numel * dtype.itemsize
        if self._device.type == "cuda":
            own = torch.zeros(size, dtype=torch.uint8, device=self._device)
            handles = [cuda_memory.export_handle(name, own) for _ in self._channels]
        else:
            array, handle = shared_memory.create(name, (size,), "uint8")
            own, handles = torch.from_numpy(array), [handle] * len(self._channels)
        for channel, handle in zip(self._channels.values(), handles, strict=True):
            channel.send(handle)
        tensors = {rank: self._attach(channel.receive(TensorHandle), size) for rank, channel in self._channels.items()}
        tensors[self.rank] = own
        self._allocations.append([tensors[rank].view(dtype) for rank in range(self.world_size)])
        return self._allocations[-1][self.rank]

    def open_activations(self, n_bytes: int) -> SharedActivations:
        self.allocate(n_bytes, torch.uint8)
        return SharedActivations(self._allocations[-1], self.rank, self._activations_barrier)

    def broadcast(self, segment: Tensor) -> None:
        self._barrier("written")
        if self.rank:
            segment.copy_(self._replicas(segment)[0])
        self._barrier("copied")

    def all_reduce_mean(self, *segments: Tensor) -> None:
        start = time.perf_counter()
        self._step += 1
        replicas = [[chunks(replica, self.world_size) for replica in self._replicas(s)] for s in segments]
        self._barrier("updated")
        for parts in replicas:
            self._average_chunk([part[self.rank] for part in parts])
        self._barrier("averaged")  # from here on nobody reads the chunks that are overwritten below
        for parts in replicas:
            for rank, theirs in enumerate(parts):
                if rank != self.rank:
                    parts[self.rank][rank].copy_(theirs[rank])
        self._barrier("collected")  # the next update must not change memory that others still read
        self.exchanged_s += time.perf_counter() - start

    def gather(self, segment: Tensor) -> list[Tensor]:
        return []

    def sync_stop(self) -> None:
        pass  # each barrier has already updated ``stopping``

    def synchronize(self) -> None:
        pass

    def all_gather(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        self._step += 1
        return self._meet("gathered", tuple(map(float, values)))

    def verify(self, segment: Tensor) -> None:
        self._barrier("verify")
        first = self._replicas(segment)[0]
        raise_if_differing(self.all_gather([count_differing(segment, first)]), segment.numel())

    def request_stop(self) -> None:
        self.stop_requested = True

    def close(self) -> None:
        own = [tensors[self.rank] for tensors in self._allocations]
        for tensors in self._allocations:
            tensors.clear()  # activations hold these lists, too
        self._allocations = []
        self._barrier("close")  # the owner of memory must outlive its users
        own.clear()
        for channel in self._channels.values():
            channel.close()

    def _activations_barrier(self) -> None:
        start = time.perf_counter()
        self._barrier("activations")
        self.exchanged_s += time.perf_counter() - start

    def _barrier(self, point: str) -> None:
        """Wait until all workers and their devices have reached ``point`` of this step, and update ``stopping``."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self._meet(point, ())

    def _meet(self, point: str, values: tuple[float, ...]) -> list[tuple[float, ...]]:
        """Wait until all workers have reached ``point``. Return the values of all by rank; update ``stopping``."""
        own = Barrier(self._step, point, self.stop_requested, values)
        for channel in self._channels.values():
            channel.send(own)
        barriers = {self.rank: own}
        for rank, channel in self._channels.items():
            barriers[rank] = theirs = channel.receive(Barrier)
            if (theirs.step, theirs.point, len(theirs.values)) != (own.step, own.point, len(own.values)):
                raise ProtocolError(f"replicas are out of step: this one sent {own}, {channel.peer} sent {theirs}")
        self.stopping = any(barrier.stopping for barrier in barriers.values())
        return [barriers[rank].values for rank in range(self.world_size)]

    def _average_chunk(self, replicas: list[Tensor]) -> None:
        """Replace this worker's tensor of ``replicas`` by their mean, summed in float32 in rank order."""
        if len(replicas) > 1:
            for block in cache_blocks(slice(0, len(replicas[0])), self._device):
                first, second, *rest = (replica[block] for replica in replicas)
                total = first.float() + second.float()
                for part in rest:
                    total += part.float()
                replicas[self.rank][block].copy_(total.div_(len(replicas)))
        if self._across:
            self._across(replicas[self.rank])

    def _replicas(self, segment: Tensor) -> list[Tensor]:
        """Return the same segment of every replica's memory, in rank order."""
        for tensors in self._allocations:
            offset = segment.data_ptr() - tensors[self.rank].data_ptr()
            if 0 <= offset < tensors[self.rank].nbytes:
                start = offset // segment.itemsize
                return [tensor[start : start + len(segment)] for tensor in tensors]
        raise ValueError("the segment is not part of a tensor that this exchange allocated; use Exchange.allocate")

    def _attach(self, handle: TensorHandle, size: int) -> Tensor:
        """Open another replica's memory. Raise ProtocolError unless it has ``size`` bytes."""
        if (handle.shape, handle.dtype) != ((size,), "uint8"):
            raise ProtocolError(
                f"replicas differ in size: here {size} bytes, {handle.name} has {handle.shape} {handle.dtype}; start "
                "all workers with the same configuration"
            )
        if self._device.type == "cuda":
            return cuda_memory.attach(handle, self._device)
        return torch.from_numpy(shared_memory.attach(handle))
