"""A replica: one network on one device, with all that trains it."""

from dataclasses import dataclass

import torch
from torch import nn

from ..data.augment.transform import Transform
from .flat import FlatParameters
from .replica_state import ReplicaState
from .step import Step
from .sync import SyncStrategy


@dataclass(frozen=True, kw_only=True)
class Replica:
    """``model``'s parameters and buffers are views of ``flat``, which ``step`` and ``sync`` update."""

    model: nn.Module
    flat: FlatParameters
    state: ReplicaState
    """parameters and momentum as those of the whole network"""
    step: Step
    sync: SyncStrategy
    transform: Transform
    """what ``step`` makes of the images of a batch"""
    device: torch.device
    crop: int
    """side of the network's input, in pixels"""
    fused: bool
    """whether ``step`` runs kernels made for this network"""
    note: str
    """how ``step`` computes, in a few words"""
    split: str = ""
    """what workers compute together and what that moves, as one line; empty if each has the whole network"""

    @property
    def is_split(self) -> bool:
        """Whether workers compute parts of the network together."""
        return bool(self.split)

    def refresh(self) -> None:
        """Take over weights that someone else has changed, the same way on all replicas."""
        self.step.refresh()
        self.sync.reset()
