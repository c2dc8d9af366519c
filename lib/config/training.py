"""Configuration of the training: network, optimizer and learning rate schedule."""

from dataclasses import dataclass
from typing import Annotated, Literal

from lib.config.field_type import Example, ExpandUser
from lib.config.section import FractionBelow1, NonNegativeFloat, PositiveFloat, PositiveInt, Section
from lib.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Section, prefix="model."):
    """model: the network."""

    name: str = "alexnet"
    """network to train; --list_models prints all. Its recipe gives the defaults of augment.*, normalize.*,
    optimizer.*, schedule.* and run.n_epochs"""

    init: Literal["default", "kaiming", "xavier"] = "default"
    """initial weights of convolutions. default: as the network's authors; kaiming, xavier: normal, with variance
    2 or 1 divided by (kernel area x output channels)"""

    weights: Annotated[str, ExpandUser] | None = None
    """fine-tuning: file or folder with the initial weights: a checkpoint, the folder of a run, safetensors, a
    PyTorch state_dict, a .caffemodel, or theano_alexnet's folder. The last layer is new when the number of classes
    differs"""

    freeze: Annotated[tuple[str, ...], Example('["features"]')] = ()
    """fine-tuning: parameters that are not trained, by name or by prefix up to a dot, e.g. [features]"""


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(Section, prefix="optimizer."):
    """optimizer: stochastic gradient descent with momentum."""

    learning_rate: PositiveFloat = 0.01
    """initial learning rate, which schedule.* changes"""

    momentum: FractionBelow1 = 0.9
    """momentum coefficient; 0: plain gradient descent"""

    nesterov: bool = False
    """use Nesterov momentum"""

    weight_decay: NonNegativeFloat = 5e-4
    """L2 penalty"""

    decayed: Literal["weights", "all"] = "weights"
    """parameters with weight decay. weights: no biases and normalization parameters; all: every parameter"""

    bias_rate_factor: PositiveFloat = 2.0
    """learning rate of biases and normalization parameters, relative to optimizer.learning_rate"""

    label_smoothing: FractionBelow1 = 0.0
    """share of each label that is spread evenly over all classes, in training"""

    accumulate: PositiveInt = 1
    """batches per worker whose gradients are accumulated for one update"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and self.momentum == 0:
            raise ConfigError(
                "optimizer.nesterov is true, but optimizer.momentum is 0; set optimizer.momentum above 0 or "
                "optimizer.nesterov to false"
            )


@dataclass(frozen=True, kw_only=True)
class Regime(Section, prefix="schedule.regimes: "):
    """Factors of learning rate and weight decay from one epoch on."""

    first_epoch: PositiveInt
    """first epoch of the regime, counted from 1; it lasts until the next regime"""

    rate: NonNegativeFloat
    """factor of optimizer.learning_rate"""

    decay: NonNegativeFloat
    """factor of optimizer.weight_decay"""


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig(Section, prefix="schedule."):
    """schedule: how the learning rate changes."""

    policy: Literal["step", "auto", "regimes", "cosine", "linear"] = "step"
    """step: divide after the epochs in schedule.steps; auto: divide when the validation error stops falling;
    regimes: follow schedule.regimes; cosine, linear: fall to 0 at run.n_epochs along that curve"""

    steps: Annotated[tuple[PositiveInt, ...], Example("[20, 40]")] = (20, 40)
    """step: epochs, counted from 1, after which the learning rate is divided"""

    divisor: PositiveFloat = 10.0
    """step, auto: what the learning rate is divided by"""

    threshold: float = 0.01
    """auto: divide when the top-1 validation error, a fraction, fell by less than this over two epochs"""

    regimes: Annotated[tuple[Regime, ...], Example("[{first_epoch: 1, rate: 1, decay: 1}]")] = ()
    """regimes: factors of learning rate and weight decay, e.g. [{first_epoch: 1, rate: 1, decay: 1}, {first_epoch:
    19, rate: 0.5, decay: 0}]"""

    warmup_epochs: NonNegativeFloat = 0.0
    """epochs over which the learning rate first rises linearly from 0, with every policy"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if list(self.steps) != sorted(set(self.steps)):
            raise ConfigError(f"schedule.steps is {list(self.steps)}; list the epochs in rising order, each once")
        firsts = [regime.first_epoch for regime in self.regimes]
        if self.policy == "regimes" and not firsts:
            raise ConfigError(
                "schedule.policy is regimes, but schedule.regimes is empty; list the regimes or choose another policy"
            )
        if firsts and (firsts[0] != 1 or firsts != sorted(set(firsts))):
            raise ConfigError(
                f"schedule.regimes begin with epochs {firsts}; begin with 1 and list them in rising order, each once"
            )
