"""The configuration: every key with its type, default and meaning, one frozen dataclass per section.

``config.yaml`` holds the keys of the training, ``spec_Ngpu.yaml`` those of the devices. The module
``lib.config.command_line`` reads both.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from lib.config.data import AugmentConfig, DataConfig, NormalizeConfig, SyntheticConfig
from lib.config.field_type import Example, ExpandUser
from lib.config.section import (
    Constraint,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Section,
    Seed,
)
from lib.config.training import ModelConfig, OptimizerConfig, Regime, ScheduleConfig
from lib.errors import ConfigError

__all__ = [
    "AugmentConfig",
    "Averaged",
    "ComputeConfig",
    "Config",
    "DataConfig",
    "ExchangeConfig",
    "LoggingConfig",
    "ModelConfig",
    "NormalizeConfig",
    "OptimizerConfig",
    "Regime",
    "RunConfig",
    "ScheduleConfig",
    "SyntheticConfig",
]

Averaged = Literal["gradients", "momentum", "weights"]


@dataclass(frozen=True, kw_only=True)
class ComputeConfig(Section, prefix="compute."):
    """compute: precision and speed."""

    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    """precision of forward and backward pass; weights and momentum are always float32. auto: bf16 on GPUs that
    support it, else fp32"""

    fused: bool = True
    """on GPUs, train with the fused kernels of the network if it has some: see --list_models"""

    compile: bool = False
    """use torch.compile for networks without fused kernels; it takes about a minute at the start"""

    deterministic: bool = False
    """use deterministic algorithms on GPUs too, at some cost in speed; on CPUs results are always deterministic"""

    threads: NonNegativeInt = 0
    """CPU threads per trainer; 0: the number of cores divided by the number of workers"""


@dataclass(frozen=True, kw_only=True)
class RunConfig(Section, prefix="run."):
    """run: length, folder and checkpoints of the run."""

    weights_dir: Path = Path("models")
    """folder of the run: configuration, metrics, log and checkpoints"""

    n_epochs: PositiveInt = 60
    """number of epochs of the whole training, including those before a resume"""

    seed: Seed = 1
    """seed of everything random: initial weights, order of images, augmentation, dropout"""

    resume: Annotated[str, ExpandUser] = "auto"
    """auto: continue from the latest checkpoint in run.weights_dir if there is one; never: start anew and move an
    older run to weights_dir/old_N; or the path of a checkpoint"""

    snapshot_freq: PositiveInt = 1
    """epochs between two checkpoints; each new best is saved too, except those that arrive while a checkpoint is
    being written, of which only the last is saved"""

    snapshot_minutes: NonNegativeFloat = 30.0
    """minutes between two checkpoints within an epoch; 0: none within an epoch"""

    keep: PositiveInt = 2
    """number of newest checkpoints to keep, besides the one with the lowest validation error"""

    patience_s: Annotated[PositiveFloat, Constraint("be at most 100000", lambda value: value <= 100_000)] = 60.0
    """seconds without a heartbeat after which a process counts as lost"""

    on_nan: Literal["stop", "rollback"] = "stop"
    """when the loss becomes NaN or infinite. stop: end the run and name the last checkpoint; rollback: continue
    from that checkpoint with another order of images, augmentation and dropout"""

    rollbacks: NonNegativeInt = 3
    """rollbacks after which the training stops"""

    limit_batches: NonNegativeInt = 0
    """stop each epoch, and each validation, after this many batches per worker; 0: no limit"""

    overfit_batches: NonNegativeInt = 0
    """train on only this many batches, the first ones, in every epoch, to see whether the network can overfit them;
    0: all"""


@dataclass(frozen=True, kw_only=True)
class LoggingConfig(Section, prefix="logging."):
    """logging: console, report and trackers."""

    print_freq: PositiveInt = 20
    """iterations between two lines of training metrics"""

    val_freq: NonNegativeInt = 0
    """iterations between two validations on a subset within an epoch; 0: none"""

    val_images: PositiveInt = 1000
    """images in that subset: always the same ones, spread evenly over the validation set"""

    quiet: bool = False
    """show only warnings and errors; --quiet for short"""

    report: bool = True
    """update weights_dir/report.html after every epoch, in a background process of lowest priority"""

    tensorboard: bool = True
    """write TensorBoard event files to weights_dir/tensorboard"""

    histograms: bool = False
    """add histograms of all weights to report and TensorBoard after every checkpoint"""

    tracker: Literal["none", "wandb", "mlflow"] = "none"
    """experiment tracker to log to as well; its package must be installed"""

    profile: NonNegativeInt = 0
    """iterations of worker 0 to trace into weights_dir/trace.json.gz; --profile N for short; 0: none"""

    debug: bool = False
    """print the traceback of every error; --debug for short"""


@dataclass(frozen=True, kw_only=True)
class ExchangeConfig(Section, prefix="exchange."):
    """exchange: how replicas are averaged."""

    method: Literal["none", "peer", "collective", "hierarchical"] = "none"
    """none: a single worker; peer: workers of one machine read each other's memory; collective: torch.distributed
    (NCCL or gloo) on any number of machines, started by torchrun; hierarchical: peer within each machine and
    collective between machines, started by torchrun"""

    rule: Literal["average", "elastic"] = "average"
    """average: replicas become their average; elastic: replicas and a center are drawn to each other (EASGD,
    arXiv:1412.6651), and the center is validated and saved"""

    every: PositiveInt = 1
    """updates between two exchanges; with rule average, more than 1 is local SGD"""

    alpha: Fraction = 0.0
    """elastic: moving rate, the share of the way to the center that a replica moves at an exchange; 0: 0.9 / workers"""

    what: Literal["auto", "gradients", "momentum", "weights"] = "auto"
    """what is averaged at each update; the result is the same. weights: weights and momentum, as theano_alexnet
    does; auto: gradients, or weights where replicas differ between exchanges (every, elastic)"""

    meet: Literal["auto", "host", "device"] = "auto"
    """peer: where replicas wait for each other. device: on the GPU; host: through ZeroMQ; auto: device where each
    worker has its own GPU and can access the memory of the others, else host"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha and self.rule != "elastic":
            raise ConfigError(
                f"exchange.alpha is {self.alpha:g}, but only exchange.rule elastic has a moving rate; set "
                "exchange.rule to elastic or exchange.alpha to 0"
            )
        if self.replicas_differ and self.what not in ("auto", "weights"):
            raise ConfigError(
                f"exchange.what is {self.what}, but with exchange.rule {self.rule} every {self.every} iterations "
                "replicas exchange weights, because they differ in between; set exchange.what to auto"
            )

    @property
    def replicas_differ(self) -> bool:
        """Whether replicas differ between exchanges."""
        return self.rule == "elastic" or self.every > 1

    @property
    def averaged(self) -> Averaged:
        """What is averaged: ``what``, with auto resolved."""
        if self.what == "auto":
            return "weights" if self.replicas_differ else "gradients"
        return self.what


@dataclass(frozen=True, kw_only=True)
class Config(Section, prefix=""):
    """The whole configuration. ``devices``, ``batch_size`` and ``exchange`` are the keys of the spec files."""

    run: RunConfig = field(default_factory=RunConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    normalize: NormalizeConfig = field(default_factory=NormalizeConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    exchange: ExchangeConfig = field(default_factory=ExchangeConfig)

    devices: Annotated[tuple[str, ...], Example('["cuda:0"]')] = ("auto",)
    """device of each worker: auto (a GPU if there is one, else the CPU), cpu, cuda:0, cuda:1, ..."""

    batch_size: PositiveInt = 256
    """images per worker and iteration"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.devices:
            raise ConfigError("devices is empty; name one device for each worker, e.g. [auto]")
        if len(self.devices) > 1 and self.exchange.method == "none":
            raise ConfigError(
                f"exchange.method is none, but there are {len(self.devices)} workers, which would train apart; set "
                "exchange.method to peer"
            )
        if self.exchange.alpha * self.world_size > 1:
            raise ConfigError(
                f"exchange.alpha is {self.exchange.alpha:g}, which would move the center beyond the mean of "
                f"{self.world_size} replicas; it must be at most 1 / workers"
            )

    @property
    def world_size(self) -> int:
        """Number of workers."""
        return len(self.devices)

    @property
    def images_per_update(self) -> int:
        """Images whose gradients make one update, over all workers."""
        return self.batch_size * self.world_size * self.optimizer.accumulate
