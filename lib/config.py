"""The configuration: what may be set, its type, default and meaning. One frozen dataclass a section.

``config.yaml`` says what to train, ``spec_Ngpu.yaml`` on what; ``lib.command_line`` reads them.
A part of the program is given its section; only roles and ``launch`` see the whole.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lib.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig:
    """data.synthetic: the size of a data set of random images."""

    train: int = 1280
    """training images"""

    val: int = 256
    """validation images"""

    classes: int = 1000
    """classes, to which images belong at random"""

    def __post_init__(self) -> None:
        for key in ("train", "val", "classes"):
            _at_least(f"data.synthetic.{key}", getattr(self, key), 1)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """data: where the images are and how they are read."""

    source: str = "hickle"
    """what the images lie in: hickle (packed by preprocessing/generate_data.sh), jpeg_folder, lmdb,
    cifar10, cifar100, mnist, or synthetic (made up); lib/data/sources.py lists them"""

    dir: Path = Path("data")
    """folder of the data set"""

    misc_dir: Path = Path("misc")
    """where its mean image, class names and manifest lie, or what is kept of a data set that is read
    as it is; relative to dir"""

    img_size: int = 256
    """side of the square images, in pixels (hickle: that of the packed images, whatever this says)"""

    resize: Literal["squash", "crop"] = "squash"
    """how a picture becomes square: ignoring its aspect, or by its central square (hickle: as packed)"""

    sampling: Literal["shuffled", "class_uniform"] = "shuffled"
    """shuffled: every image once an epoch; class_uniform: a class at random, then one of its images,
    again and again"""

    epoch_size: int = 0
    """class_uniform: iterations in an epoch; 0: as many as take the number of training images"""

    shuffle: Literal["images", "files", "none"] = "images"
    """what is put in a new order each epoch: every image; the batch files, each read in its own
    order (for disks that dislike random reads); or nothing"""

    slots: int = 4
    """batches a loader may hold ready ahead of its trainer"""

    readers: int = 4
    """threads with which a loader reads"""

    decoders: int = 2
    """jpeg_folder, lmdb: processes with which a loader decodes; 0: none but itself, to look for faults"""

    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)

    def __post_init__(self) -> None:
        _at_least("data.img_size", self.img_size, 1)
        _at_least("data.epoch_size", self.epoch_size, 0)
        _at_least("data.slots", self.slots, 2)
        _at_least("data.readers", self.readers, 1)
        _at_least("data.decoders", self.decoders, 0)
        if self.epoch_size and self.sampling == "shuffled":
            raise ConfigError(
                "data.epoch_size is for data.sampling class_uniform; shuffled takes every image once an epoch"
            )


@dataclass(frozen=True, kw_only=True)
class ViewsConfig:
    """views: how an image is seen."""

    crop: Literal["random", "center", "resized"] = "random"
    """train on a window cut at random, on the centre, or on a window of random area (8 to 100 %) and
    ratio (3/4 to 4/3) that is stretched"""

    mirror: bool = True
    """train on images mirrored left to right half of the time"""

    per_image: bool = True
    """draw for each image (false: once for a whole batch)"""

    color_jitter: float = 0.0
    """change brightness, contrast and saturation by factors of up to 1 -/+ this; 0.4 is usual; 0: never"""

    pca_lighting: float = 0.0
    """move colours along ImageNet's principal components, normally distributed with this deviation;
    0.1 is usual; 0: never"""

    mean: Literal["image", "channel", "none"] = "image"
    """what every image loses, in validation too: the data set's mean image, that image's mean of each
    channel, or nothing"""

    std: tuple[float, float, float] | None = None
    """what red, green and blue are divided by after that, in validation too, on a scale of 0 to 255
    (ImageNet's: [58.4, 57.12, 57.38]); null: nothing"""

    def __post_init__(self) -> None:
        for key in ("color_jitter", "pca_lighting"):
            if not 0 <= getattr(self, key) <= 1:
                raise ConfigError(f"views.{key} is {getattr(self, key):g}; it must lie between 0 and 1")
        for deviation in self.std or ():
            _positive("views.std", deviation)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """model: the network."""

    name: str = "alexnet"
    """network to train; --list_models prints them. It brings a recipe: its own defaults for optimizer.*,
    schedule.* and run.n_epochs"""

    init: Literal["default", "kaiming", "xavier"] = "default"
    """initial weights of convolutions: the network's own; or normal ones, of variance 2 (kaiming) or 1
    (xavier) over kernel area times outputs"""

    weights: str | None = None
    """fine-tuning: start from the weights in this checkpoint; another number of classes gets a new
    last layer"""

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
        _positive("optimizer.learning_rate", self.learning_rate)
        _positive("optimizer.bias_rate_factor", self.bias_rate_factor)
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"optimizer.momentum is {self.momentum:g}; it must lie in [0, 1)")
        if self.weight_decay < 0:
            raise ConfigError(f"optimizer.weight_decay is {self.weight_decay:g}; it cannot be negative")
        if self.nesterov and self.momentum == 0:
            raise ConfigError("optimizer.nesterov needs optimizer.momentum above 0")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"optimizer.label_smoothing is {self.label_smoothing:g}; it must lie in [0, 1)")
        _at_least("optimizer.accumulate", self.accumulate, 1)


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
        _positive("schedule.divisor", self.divisor)
        if any(a >= b for a, b in zip(self.steps, self.steps[1:], strict=False)) or any(s < 1 for s in self.steps):
            raise ConfigError(f"schedule.steps is {list(self.steps)}; give epochs from 1 on, in rising order")
        if self.warmup_epochs < 0:
            raise ConfigError(f"schedule.warmup_epochs is {self.warmup_epochs:g}; it cannot be negative")
        if self.policy == "regimes" and not self.regimes:
            raise ConfigError("schedule.policy is regimes, but schedule.regimes is empty")
        _check_regimes(self.regimes)


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

    def __post_init__(self) -> None:
        _at_least("run.n_epochs", self.n_epochs, 1)
        _at_least("run.seed", self.seed, 0)
        _at_least("run.snapshot_freq", self.snapshot_freq, 1)
        _at_least("run.keep", self.keep, 1)
        _positive("run.patience_s", self.patience_s)
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

    def __post_init__(self) -> None:
        _at_least("logging.print_freq", self.print_freq, 1)
        _at_least("logging.val_freq", self.val_freq, 0)
        _at_least("logging.val_images", self.val_images, 1)


@dataclass(frozen=True, kw_only=True)
class ExchangeConfig:
    """exchange: how replicas become their average."""

    method: Literal["none", "peer", "collective"] = "none"
    """none: one worker alone; peer: the replicas of one machine read each other's memory; collective:
    torch.distributed (NCCL or gloo), for any number of machines, started by torchrun"""


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


def _check_regimes(regimes: tuple[Regime, ...]) -> None:
    firsts = [regime.first_epoch for regime in regimes]
    if regimes and (firsts[0] != 1 or sorted(set(firsts)) != firsts):
        raise ConfigError(f"schedule.regimes begin with epochs {firsts}; begin with 1, and go on in rising order")
    for regime in regimes:
        if regime.rate < 0 or regime.decay < 0:
            raise ConfigError(f"schedule.regimes: {regime}; rate and decay cannot be negative")


def _at_least(key: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"{key} is {value}; it must be at least {least}")


def _positive(key: str, value: float) -> None:
    if not value > 0:
        raise ConfigError(f"{key} is {value:g}; it must be above 0")
