"""The exchange among GPUs on CPUs: hosts meet in place of the devices, and kernels are interpreted."""

from pathlib import Path

from lib.exchange.device_peer import DevicePeer
from tests.support.replicas import CPU, open_peer


class HostBarriers(DevicePeer):
    def _device_barrier(self) -> None:
        self._barrier("there")

    def _activations_barrier(self) -> None:
        self._barrier("beside")


def open_device_peer(folder: Path, rank: int, world_size: int) -> HostBarriers:
    channels = open_peer(folder, rank, world_size)._channels
    return HostBarriers(rank, channels, CPU, ahead=2, patience_s=20, on_wait=lambda doing: None)
