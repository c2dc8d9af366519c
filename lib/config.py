"""The configuration: what may be set, its type, default and meaning. One frozen dataclass a section.

``config.yaml`` says what to train, ``spec_Ngpu.yaml`` on what; ``lib.command_line`` reads them.
A part of the program is given its section; only roles and ``launch`` see the whole.
"""

from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from lib.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """data: where the images are and how they are read."""

    dir: Path = Path("data")
    """folder of the data set, made by preprocessing/generate_data.sh"""

    misc_dir: Path = Path("misc")
    """where its mean image, class names and manifest lie; relative to dir"""

    shuffle: Literal["images", "files", "none"] = "images"
    """what is put in a new order each epoch: every image; the batch files, each read in its own
    order (for disks that dislike random reads); or nothing"""

    slots: int = 4
    """batches a loader may hold ready ahead of its trainer"""

    readers: int = 4
    """threads with which a loader reads"""

    def __post_init__(self) -> None:
        _at_least("data.slots", self.slots, 2)
        _at_least("data.readers", self.readers, 1)


@dataclass(frozen=True, kw_only=True)
class ViewsConfig:
    """views: what is cut from an image for training."""

    random_crop: bool = True
    """train on a window cut at random (false: on the centre)"""

    mirror: bool = True
    """train on images mirrored left to right half of the time"""

    per_image: bool = True
    """draw for each image (false: once for a whole batch)"""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """model: the network."""

    name: str = "alexnet"
    """network to train; lib/models/registry.py lists them"""


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """optimizer: stochastic gradient descent with momentum."""

    learning_rate: float = 0.01
    """rate before the schedule divides it; biases learn at bias_rate_factor times this"""

    momentum: float = 0.9
    """share of the last velocity that is kept; 0 for plain gradient descent"""

    nesterov: bool = False
    """look ahead along the velocity before the gradient is applied"""

    weight_decay: float = 5e-4
    """pull of weights towards zero; biases and norms are not decayed"""

    bias_rate_factor: float = 2.0
    """learning rate of biases over that of weights"""

    def __post_init__(self) -> None:
        _positive("optimizer.learning_rate", self.learning_rate)
        _positive("optimizer.bias_rate_factor", self.bias_rate_factor)
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"optimizer.momentum is {self.momentum:g}; it must lie in [0, 1)")
        if self.weight_decay < 0:
            raise ConfigError(f"optimizer.weight_decay is {self.weight_decay:g}; it cannot be negative")
        if self.nesterov and self.momentum == 0:
            raise ConfigError("optimizer.nesterov needs optimizer.momentum above 0")


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """schedule: when the learning rate falls."""

    policy: Literal["step", "auto"] = "step"
    """step: divide after given epochs; auto: divide when the validation error stops falling"""

    steps: tuple[int, ...] = (20, 40)
    """step: the rate is divided at the end of these epochs, counted from 1"""

    divisor: float = 10.0
    """what the rate is divided by"""

    threshold: float = 0.01
    """auto: divide when validation top-1 error fell by less than this (a fraction) over two epochs"""

    def __post_init__(self) -> None:
        _positive("schedule.divisor", self.divisor)
        if any(a >= b for a, b in zip(self.steps, self.steps[1:], strict=False)) or any(s < 1 for s in self.steps):
            raise ConfigError(f"schedule.steps is {list(self.steps)}; give epochs from 1 on, in rising order")


@dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """compute: with what arithmetic."""

    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    """arithmetic of the network; weights and momenta are always float32. auto: bf16 on GPUs that
    have it, fp32 elsewhere"""

    deterministic: bool = False
    """the same bits every time on a GPU too, at some cost in speed (a CPU always gives them)"""

    threads: int = 0
    """CPU threads for each trainer; 0: the machine's cores shared out among the workers"""

    def __post_init__(self) -> None:
        _at_least("compute.threads", self.threads, 0)


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
    """checkpoint after every so many epochs"""

    snapshot_minutes: float = 30.0
    """and after so many minutes within an epoch; 0: never"""

    keep: int = 2
    """newest checkpoints to keep; the best one by validation error is kept besides"""

    patience_s: float = 60.0
    """seconds without a sign of life after which a process counts as lost"""

    limit_batches: int = 0
    """stop each epoch, and each validation, after so many batches of each worker; 0: all of them"""

    overfit_batches: int = 0
    """train on these first batches over and over: a sound network learns them by heart; 0: all"""

    def __post_init__(self) -> None:
        _at_least("run.n_epochs", self.n_epochs, 1)
        _at_least("run.seed", self.seed, 0)
        _at_least("run.snapshot_freq", self.snapshot_freq, 1)
        _at_least("run.keep", self.keep, 1)
        _positive("run.patience_s", self.patience_s)
        _at_least("run.limit_batches", self.limit_batches, 0)
        _at_least("run.overfit_batches", self.overfit_batches, 0)
        if self.snapshot_minutes < 0:
            raise ConfigError(f"run.snapshot_minutes is {self.snapshot_minutes:g}; it cannot be negative")


@dataclass(frozen=True, kw_only=True)
class LoggingConfig:
    """logging: what is shown and written."""

    print_freq: int = 20
    """iterations between two lines of training figures"""

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
        _at_least("logging.print_freq", self.print_freq, 1)
        _at_least("logging.profile", self.profile, 0)


@dataclass(frozen=True, kw_only=True)
class ExchangeConfig:
    """exchange: how replicas become their average."""

    method: Literal["none", "peer"] = "none"
    """none: one worker alone; peer: replicas read each other's memory and average every iteration"""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that can be set. The last three are the spec: on what to train."""

    run: RunConfig = field(default_factory=RunConfig)
    data: DataConfig = field(default_factory=DataConfig)
    views: ViewsConfig = field(default_factory=ViewsConfig)
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
        _at_least("batch_size", self.batch_size, 1)
        if not self.devices:
            raise ConfigError("devices is empty; name one device for each worker, e.g. [auto]")
        if len(self.devices) > 1 and self.exchange.method == "none":
            raise ConfigError(
                f"{len(self.devices)} workers with exchange.method none would train apart; set exchange.method to peer"
            )

    @property
    def world_size(self) -> int:
        """How many workers train together."""
        return len(self.devices)


def flat_settings(section: Any, prefix: str = "") -> dict[str, Any]:
    """Every key of a section, dotted, with its value.

    >>> flat_settings(ScheduleConfig())["steps"]
    (20, 40)
    """
    rows: dict[str, Any] = {}
    for part in fields(section):
        value = getattr(section, part.name)
        rows |= flat_settings(value, f"{prefix}{part.name}.") if is_dataclass(value) else {prefix + part.name: value}
    return rows


def _at_least(key: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"{key} is {value}; it must be at least {least}")


def _positive(key: str, value: float) -> None:
    if not value > 0:
        raise ConfigError(f"{key} is {value:g}; it must be above 0")
