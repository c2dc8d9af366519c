"""The configuration: what may be set, its type, default and meaning. One frozen dataclass a section.

``config.yaml`` says what to train, ``spec_Ngpu.yaml`` on what; ``lib.config.command_line`` reads them.
A part of the program is given its section; only roles and ``launch`` see the whole.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lib.config.checks import at_least, positive
from lib.config.data import AugmentConfig, DataConfig, NormalizeConfig, SyntheticConfig
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
class ComputeConfig:
    """compute: with what arithmetic."""

    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    """arithmetic of the network; weights and momenta are always float32. auto: bf16 on GPUs that
    have it, fp32 elsewhere"""

    fused: bool = True
    """on GPUs, train networks that have kernels of their own with these: see --list_models"""

    compile: bool = False
    """compile other networks with torch.compile: a minute at the start, then faster"""

    deterministic: bool = False
    """the same bits every time on a GPU too, at some cost in speed (a CPU always gives them)"""

    threads: int = 0
    """CPU threads for each trainer; 0: the machine's cores shared out among the workers"""

    def __post_init__(self) -> None:
        at_least("compute.threads", self.threads, 0)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """run: how long, where to, what to keep."""

    weights_dir: Path = Path("models")
    """folder of this run: configuration, figures, log and checkpoints"""

    n_epochs: int = 60
    """train until this many epochs are done, those before a resume counted in"""

    seed: int = 1
    """everything random follows from it: initial weights, order, views, dropout"""

    resume: str = "auto"
    """auto: go on from the latest checkpoint in weights_dir if there is one; never: start anew (an
    older run in weights_dir is moved to weights_dir/old_N); or a checkpoint's path"""

    snapshot_freq: int = 1
    """checkpoint after every so many epochs, and after each that is the best so far (of those that come while
    another is still being written, the last)"""

    snapshot_minutes: float = 30.0
    """and after so many minutes within an epoch; 0: never"""

    keep: int = 2
    """newest checkpoints to keep; the best one by validation error is kept besides"""

    patience_s: float = 60.0
    """seconds without a sign of life after which a process counts as lost"""

    on_nan: Literal["stop", "rollback"] = "stop"
    """what to do when the loss is no number. stop: end the run, and name the last checkpoint; rollback: go on
    from that one in another order, with other views and dropout"""

    rollbacks: int = 3
    """how often a training may rollback, then it stops"""

    limit_batches: int = 0
    """stop each epoch, and each validation, after so many batches of each worker; 0: all of them"""

    overfit_batches: int = 0
    """train on these first batches over and over: a sound network learns them by heart; 0: all"""

    def __post_init__(self) -> None:
        at_least("run.n_epochs", self.n_epochs, 1)
        at_least("run.seed", self.seed, 0)
        at_least("run.snapshot_freq", self.snapshot_freq, 1)
        at_least("run.keep", self.keep, 1)
        positive("run.patience_s", self.patience_s)
        at_least("run.rollbacks", self.rollbacks, 0)
        at_least("run.limit_batches", self.limit_batches, 0)
        at_least("run.overfit_batches", self.overfit_batches, 0)
        if self.snapshot_minutes < 0:
            raise ConfigError(f"run.snapshot_minutes is {self.snapshot_minutes:g}; it cannot be negative")


@dataclass(frozen=True, kw_only=True)
class LoggingConfig:
    """logging: what is shown and written."""

    print_freq: int = 20
    """iterations between two lines of training figures"""

    val_freq: int = 0
    """iterations between two evaluations within an epoch of a subset of the validation images; 0: none"""

    val_images: int = 1000
    """size of that subset: always the same images, spread evenly over the validation set"""

    quiet: bool = False
    """show warnings and errors only; --quiet is short for it"""

    report: bool = True
    """keep weights_dir/report.html fresh after every epoch, in a process of lowest priority"""

    tensorboard: bool = True
    """write TensorBoard event files into weights_dir/tensorboard"""

    histograms: bool = False
    """with report and tensorboard: histograms of all weights after every checkpoint too"""

    tracker: Literal["none", "wandb", "mlflow"] = "none"
    """one more place to log to, if it is installed"""

    profile: int = 0
    """trace so many iterations of worker 0 into weights_dir/trace.json.gz; --profile N is short for it"""

    debug: bool = False
    """show tracebacks of errors that the user can mend too; --debug is short for it"""

    def __post_init__(self) -> None:
        at_least("logging.print_freq", self.print_freq, 1)
        at_least("logging.val_freq", self.val_freq, 0)
        at_least("logging.val_images", self.val_images, 1)
        at_least("logging.profile", self.profile, 0)


@dataclass(frozen=True, kw_only=True)
class ExchangeConfig:
    """exchange: how replicas become their average."""

    method: Literal["none", "peer", "collective", "hierarchical"] = "none"
    """none: one worker alone; peer: the replicas of one machine read each other's memory; collective:
    torch.distributed (NCCL or gloo), for any number of machines, started by torchrun; hierarchical: peer
    within each machine, collective between them, started by torchrun too"""

    rule: Literal["average", "elastic"] = "average"
    """average: replicas become their average; elastic: each is drawn to a centre and the centre to them (EASGD,
    arXiv:1412.6651), and the centre is what is validated and saved"""

    every: int = 1
    """updates from one exchange to the next: iterations, unless optimizer.accumulate makes several one update;
    with rule average, more than 1 is local SGD"""

    alpha: float = 0.0
    """elastic: the moving rate, how far a replica goes towards the centre at an exchange; 0: 0.9 / workers"""

    what: Literal["auto", "gradients", "momentum", "weights"] = "auto"
    """what is averaged around each update; the same mathematics. weights: and momenta, as theano_alexnet did;
    auto: gradients, or weights where replicas differ between exchanges (every, elastic)"""

    meet: Literal["auto", "host", "device"] = "auto"
    """peer: where replicas wait for each other. auto: on the device where each has a GPU of its own that
    reaches the others' memory, else through ZeroMQ"""

    def __post_init__(self) -> None:
        at_least("exchange.every", self.every, 1)
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"exchange.alpha is {self.alpha:g}; it must lie in [0, 1]")
        if self.alpha and self.rule != "elastic":
            raise ConfigError(f"exchange.alpha is {self.alpha:g}, but only exchange.rule elastic has a moving rate")
        if self.apart and self.what not in ("auto", "weights"):
            raise ConfigError(
                f"exchange.what is {self.what}, but with exchange.rule {self.rule} every {self.every} iterations "
                "replicas exchange weights, as they differ in between; set exchange.what to auto"
            )

    @property
    def apart(self) -> bool:
        """Whether replicas differ between exchanges."""
        return self.rule == "elastic" or self.every > 1

    @property
    def averaged(self) -> Averaged:
        """What ``what`` stands for."""
        if self.what == "auto":
            return "weights" if self.apart else "gradients"
        return self.what


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that can be set; devices, batch_size and exchange are the spec: on what to train."""

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
    devices: tuple[str, ...] = ("auto",)
    """one a worker: auto (a GPU if there is one, else the CPU), cpu, cuda:0, cuda:1, ..."""
    batch_size: int = 256
    """images each worker trains on in one iteration"""

    def __post_init__(self) -> None:
        at_least("batch_size", self.batch_size, 1)
        if not self.devices:
            raise ConfigError("devices is empty; name one device for each worker, e.g. [auto]")
        if len(self.devices) > 1 and self.exchange.method == "none":
            raise ConfigError(
                f"{len(self.devices)} workers with exchange.method none would train apart; set exchange.method to peer"
            )
        if self.exchange.alpha * self.world_size > 1:
            raise ConfigError(
                f"exchange.alpha is {self.exchange.alpha:g}, which would move the centre beyond the mean of "
                f"{self.world_size} replicas; it must be at most 1 / workers"
            )

    @property
    def world_size(self) -> int:
        """How many workers train together."""
        return len(self.devices)

    @property
    def images_an_update(self) -> int:
        """Images whose gradients make one update, over all workers."""
        return self.batch_size * self.world_size * self.optimizer.accumulate
