"""Average replicas by reading the others' memory, as processes of one machine can.

The shared memory of each replica is cut into one part a worker. Each worker averages its part over all
replicas, in its own memory; then all collect the finished parts from each other. A part is computed once
and copied, so all replicas hold the same bits whatever their number. Three meetings keep readers and
writers apart; at each of them nobody goes on before all have come.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from lib.errors import ProtocolError
from lib.exchange.base import refuse_differing
from lib.ipc import cuda_memory, shared
from lib.ipc.channel import Channel
from lib.ipc.messages import Figures, Meet, Share


class Peer:
    """``Exchange`` among the workers of one machine, on CPUs through mapped memory, on GPUs through CUDA IPC."""

    def __init__(self, rank: int, channels: Mapping[int, Channel], device: torch.device) -> None:
        self.leaving = False
        self.asked = False
        self._rank, self._channels, self._device = rank, channels, device
        self._step = 0
        self._replicas: list[Tensor] = []  # everyone's shared memory by rank, our own included

    def allocate(self, numel: int) -> Tensor:
        mine, share = self._create(numel)
        for channel in self._channels.values():
            channel.send(share())
        theirs = {rank: self._attach(channel.receive(Share), numel) for rank, channel in self._channels.items()}
        self._replicas = [replica for _, replica in sorted({self._rank: mine, **theirs}.items())]
        return mine

    def copy_first(self) -> None:
        self._meet("written")
        if self._rank:
            self._replicas[self._rank].copy_(self._replicas[0])
        self._meet("copied")

    def average(self) -> None:
        self._step += 1
        self._meet("updated")
        parts = [replica.tensor_split(len(self._replicas)) for replica in self._replicas]
        mine = parts[self._rank]
        total = parts[0][self._rank] + parts[1][self._rank]
        for theirs in parts[2:]:
            total += theirs[self._rank]
        torch.div(total, len(parts), out=mine[self._rank])
        self._meet("averaged")  # from here on nobody reads what we overwrite below
        for rank, theirs in enumerate(parts):
            if rank != self._rank:
                mine[rank].copy_(theirs[rank])
        self._meet("collected")  # the next update must not touch what others still read

    def gather(self, values: Sequence[float]) -> list[tuple[float, ...]]:
        self._step += 1
        mine = Figures(self._step, tuple(map(float, values)), self.asked)
        for channel in self._channels.values():
            channel.send(mine)
        all_figures = {self._rank: mine}
        for rank, channel in self._channels.items():
            all_figures[rank] = theirs = channel.receive(Figures)
            if (theirs.step, len(theirs.values)) != (mine.step, len(mine.values)):
                raise ProtocolError(f"replicas are out of step: here {mine}, {channel.peer} {theirs}")
        self.leaving = any(figures.leaving for figures in all_figures.values())
        return [all_figures[rank].values for rank in sorted(all_figures)]

    def verify(self) -> None:
        self._meet("verify")
        mine, first = self._replicas[self._rank], self._replicas[0]
        differing = int((mine.view(torch.int32) != first.view(torch.int32)).sum())
        refuse_differing(self.gather([differing]), mine.numel())

    def leave(self) -> None:
        self.asked = True

    def close(self) -> None:
        self._replicas = []
        self._meet("close")  # an owner must outlive the users of its memory
        for channel in self._channels.values():
            channel.close()

    def _meet(self, point: str) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        here = Meet(self._step, point, self.asked)
        for channel in self._channels.values():
            channel.send(here)
        self.leaving = here.leaving
        for channel in self._channels.values():
            there = channel.receive(Meet)
            if (there.step, there.point) != (here.step, here.point):
                raise ProtocolError(f"replicas are out of step: here {here}, {channel.peer} {there}")
            self.leaving |= there.leaving

    def _create(self, numel: int) -> tuple[Tensor, Callable[[], Share]]:
        """Our memory, and a function that makes its address once more for each user."""
        name = f"replica {self._rank}"
        if self._device.type == "cuda":
            tensor = torch.zeros(numel, device=self._device)
            return tensor, lambda: cuda_memory.share(name, tensor)
        array, share = shared.create(name, (numel,), "float32")
        return torch.from_numpy(array), lambda: share

    def _attach(self, share: Share, numel: int) -> Tensor:
        if (share.shape, share.dtype) != ((numel,), "float32"):
            raise ProtocolError(f"replicas differ in size: {numel} numbers here, {share.shape} {share.dtype} there")
        if self._device.type == "cuda":
            return cuda_memory.attach(share, self._device)
        return torch.from_numpy(shared.attach(share))
