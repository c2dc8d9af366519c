"""The configuration of how a network learns: which it is, its update rule, and when the rate falls."""

from dataclasses import dataclass
from typing import Literal

from lib.config.checks import at_least, positive
from lib.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """model: the network."""

    name: str = "alexnet"
    """network to train; --list_models prints them. It brings a recipe: its own defaults for augment.*, normalize.*,
    optimizer.*, schedule.* and run.n_epochs"""

    init: Literal["default", "kaiming", "xavier"] = "default"
    """initial weights of convolutions: the network's own; or normal ones, of variance 2 (kaiming) or 1
    (xavier) over kernel area times outputs"""

    weights: str | None = None
    """fine-tuning: start from the weights in this checkpoint or run's folder, or of another program
    (safetensors, torchvision's, a .caffemodel, theano_alexnet's folder); another number of classes gets a
    new last layer"""

    freeze: tuple[str, ...] = ()
    """fine-tuning: parts of the network that stay as they are, e.g. [features]: names of parameters, or
    what these begin with up to a dot"""


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """optimizer: stochastic gradient descent with momentum."""

    learning_rate: float = 0.01
    """rate before the schedule changes it; biases learn at bias_rate_factor times this"""

    momentum: float = 0.9
    """share of the last velocity that is kept; 0 for plain gradient descent"""

    nesterov: bool = False
    """look ahead along the velocity before the gradient is applied"""

    weight_decay: float = 5e-4
    """pull of weights towards zero"""

    decayed: Literal["weights", "all"] = "weights"
    """what weight_decay pulls at: weights; or all parameters, biases and norms too"""

    bias_rate_factor: float = 2.0
    """learning rate of biases and norms over that of weights"""

    label_smoothing: float = 0.0
    """share of each label that is spread over all classes, in training"""

    accumulate: int = 1
    """batches of each worker that make one update together"""

    def __post_init__(self) -> None:
        positive("optimizer.learning_rate", self.learning_rate)
        positive("optimizer.bias_rate_factor", self.bias_rate_factor)
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"optimizer.momentum is {self.momentum:g}; it must lie in [0, 1)")
        if self.weight_decay < 0:
            raise ConfigError(f"optimizer.weight_decay is {self.weight_decay:g}; it cannot be negative")
        if self.nesterov and self.momentum == 0:
            raise ConfigError("optimizer.nesterov needs optimizer.momentum above 0")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"optimizer.label_smoothing is {self.label_smoothing:g}; it must lie in [0, 1)")
        at_least("optimizer.accumulate", self.accumulate, 1)


@dataclass(frozen=True, kw_only=True)
class Regime:
    """Some epochs of a schedule."""

    first_epoch: int
    """from this epoch on, counted from 1, until the next regime"""

    rate: float
    """times optimizer.learning_rate"""

    decay: float
    """times optimizer.weight_decay"""


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """schedule: how the learning rate changes."""

    policy: Literal["step", "auto", "regimes", "cosine", "linear"] = "step"
    """step: divide after given epochs; auto: divide when the validation error stops falling; regimes: as
    listed; cosine, linear: down to 0 at run.n_epochs along that curve"""

    steps: tuple[int, ...] = (20, 40)
    """step: the rate is divided at the end of these epochs, counted from 1"""

    divisor: float = 10.0
    """what the rate is divided by"""

    threshold: float = 0.01
    """auto: divide when validation top-1 error fell by less than this (a fraction) over two epochs"""

    regimes: tuple[Regime, ...] = ()
    """regimes: factors of rate and decay, e.g. [{first_epoch: 1, rate: 1, decay: 1}, {first_epoch: 19,
    rate: 0.5, decay: 0}]"""

    warmup_epochs: float = 0.0
    """the rate rises linearly from 0 over so many epochs, whatever the policy"""

    def __post_init__(self) -> None:
        positive("schedule.divisor", self.divisor)
        if any(a >= b for a, b in zip(self.steps, self.steps[1:], strict=False)) or any(s < 1 for s in self.steps):
            raise ConfigError(f"schedule.steps is {list(self.steps)}; give epochs from 1 on, in rising order")
        if self.warmup_epochs < 0:
            raise ConfigError(f"schedule.warmup_epochs is {self.warmup_epochs:g}; it cannot be negative")
        if self.policy == "regimes" and not self.regimes:
            raise ConfigError("schedule.policy is regimes, but schedule.regimes is empty")
        _check_regimes(self.regimes)


def _check_regimes(regimes: tuple[Regime, ...]) -> None:
    firsts = [regime.first_epoch for regime in regimes]
    if regimes and (firsts[0] != 1 or sorted(set(firsts)) != firsts):
        raise ConfigError(f"schedule.regimes begin with epochs {firsts}; begin with 1, and go on in rising order")
    for regime in regimes:
        if regime.rate < 0 or regime.decay < 0:
            raise ConfigError(f"schedule.regimes: {regime}; rate and decay cannot be negative")
