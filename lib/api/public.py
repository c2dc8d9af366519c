"""The names that ``import tandem`` offers."""

from ..errors import UserError
from .batches import Batches
from .network import Class, Network, Prediction, open
from .training import Run, train

__all__ = ["Batches", "Class", "Network", "Prediction", "Run", "UserError", "open", "train"]
