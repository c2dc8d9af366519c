"""Average replicas by reading the others' memory, as processes of one machine can.

The shared memory of each replica is cut into one part a worker. Each worker averages its part over all
replicas, in its own memory; then all collect the finished parts from each other. A part is computed once
and copied, so all replicas hold the same bits whatever their number. Three meetings keep readers and
writers apart; at each of them nobody goes on before all have come.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from lib.errors import ProtocolError
from lib.exchange.base import chunks, count_differing, refuse_differing
from lib.ipc import cuda_memory, shared_memory
from lib.ipc.channel import Channel
from lib.ipc.messages import GatheredValues, Meet, TensorHandle


class Peer:
    """``Exchange`` among the workers of one machine, on CPUs through mapped memory, on GPUs through CUDA IPC."""

    capturable = False
    lag = 0

    def __init__(self, rank: int, channels: Mapping[int, Channel], device: torch.device) -> None:
        self.stopping = self.stop_requested = False
        self.spent_s = 0.0
        self._rank, self._channels, self._device = rank, channels, device
        self._world_size = len(channels) + 1
        self._step = 0
        self._rows: list[list[Tensor]] = []  # of each allocation, everyone's memory by rank, our own included

    def allocate(self, numel: int, dtype: torch.dtype = torch.float32) -> Tensor:
        mine, handle = self._create(numel, dtype)
        for channel in self._channels.values():
            channel.send(handle())
        theirs = {rank: self._attach(channel.receive(TensorHandle), mine) for rank, channel in self._channels.items()}
        self._rows.append([row for _, row in sorted({self._rank: mine, **theirs}.items())])
        return mine

    def broadcast(self, segment: Tensor) -> None:
        self._meet("written")
        if self._rank:
            segment.copy_(self._everyones(segment)[0])
        self._meet("copied")

    def all_reduce_mean(self, *segments: Tensor) -> None:
        began = time.perf_counter()
        self._step += 1
        replicas = [[chunks(theirs, self._world_size) for theirs in self._everyones(s)] for s in segments]
        self._meet("updated")
        for parts in replicas:
            self._average_share([part[self._rank] for part in parts])
        self._meet("averaged")  # from here on nobody reads what we overwrite below
        for parts in replicas:
            for rank, theirs in enumerate(parts):
                if rank != self._rank:
                    parts[self._rank][rank].copy_(theirs[rank])
        self._meet("collected")  # the next update must not touch what others still read
        self.spent_s += time.perf_counter() - began

    def sync_stop(self) -> None:
        pass  # every meeting brought it with it

    def synchronize(self) -> None:
        pass

    def all_gather(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        self._step += 1
        mine = GatheredValues(self._step, tuple(map(float, values)), self.stop_requested)
        for channel in self._channels.values():
            channel.send(mine)
        all_figures = {self._rank: mine}
        for rank, channel in self._channels.items():
            all_figures[rank] = theirs = channel.receive(GatheredValues)
            if (theirs.step, len(theirs.values)) != (mine.step, len(mine.values)):
                raise ProtocolError(f"replicas are out of step: here {mine}, {channel.peer} {theirs}")
        self.stopping = any(figures.stopping for figures in all_figures.values())
        return [all_figures[rank].values for rank in sorted(all_figures)]

    def verify(self, segment: Tensor) -> None:
        self._meet("verify")
        first = self._everyones(segment)[0]
        refuse_differing(self.all_gather([count_differing(segment, first)]), segment.numel())

    def request_stop(self) -> None:
        self.stop_requested = True

    def close(self) -> None:
        self._rows = []
        self._meet("close")  # an owner must outlive the users of its memory
        for channel in self._channels.values():
            channel.close()

    def _meet(self, point: str) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        here = Meet(self._step, point, self.stop_requested)
        for channel in self._channels.values():
            channel.send(here)
        self.stopping = here.stopping
        for channel in self._channels.values():
            there = channel.receive(Meet)
            if (there.step, there.point) != (here.step, here.point):
                raise ProtocolError(f"replicas are out of step: here {here}, {channel.peer} {there}")
            self.stopping |= there.stopping

    def _average_share(self, replicas: list[Tensor]) -> None:
        """Our own of ``replicas``, by rank, becomes their mean, added up in float32 in the order of ranks."""
        total = replicas[0].float() + replicas[1].float()
        for theirs in replicas[2:]:
            total += theirs.float()
        replicas[self._rank].copy_(total.div_(len(replicas)))

    def _everyones(self, segment: Tensor) -> list[Tensor]:
        """The same stretch of everyone's memory, by rank."""
        for rows in self._rows:
            offset = segment.data_ptr() - rows[self._rank].data_ptr()
            if 0 <= offset < rows[self._rank].nbytes:
                start = offset // segment.itemsize
                return [row[start : start + len(segment)] for row in rows]
        raise ValueError("that memory was not allocated here")

    def _create(self, numel: int, dtype: torch.dtype) -> tuple[Tensor, Callable[[], TensorHandle]]:
        """Our memory, and a function that makes its address once more for each user."""
        name = f"replica {self._rank}"
        if self._device.type == "cuda":
            tensor = torch.zeros(numel, dtype=dtype, device=self._device)
            return tensor, lambda: cuda_memory.export_handle(name, tensor)
        bytes_, handle = shared_memory.create(name, (numel * dtype.itemsize,), "uint8")
        return torch.from_numpy(bytes_).view(dtype), lambda: handle

    def _attach(self, handle: TensorHandle, mine: Tensor) -> Tensor:
        if self._device.type == "cuda":
            expected = ((len(mine),), str(mine.dtype).removeprefix("torch."))
        else:
            expected = ((mine.nbytes,), "uint8")
        if (handle.shape, handle.dtype) != expected:
            raise ProtocolError(
                f"replicas differ in size: {expected[0][0]} numbers here, {handle.shape} {handle.dtype} there"
            )
        if self._device.type == "cuda":
            return cuda_memory.attach(handle, self._device)
        return torch.from_numpy(shared_memory.attach(handle)).view(mine.dtype)
