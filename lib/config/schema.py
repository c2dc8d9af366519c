"""The configuration: every key with its type, default and meaning, one frozen dataclass per section.

``config.yaml`` holds the keys of the training, ``spec_Ngpu.yaml`` those of the devices.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from ..errors import ConfigError
from ..types import Activation, Interpolation, RecipeChoice, Variant
from .class_weights import parse_class_weights
from .field_type import Example, ExpandUser
from .made_for import parse_made_for
from .optimizer_options import parse_optimizer_options
from .section import (
    Constraint,
    Fraction,
    FractionBelow1,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Section,
    Seed,
    Share,
)

Averaged = Literal["weights", "gradients"]

OPTIMIZERS = ("sgd", "adamw", "radam", "lamb")
"""optimizers of this program; others are classes of ``torch.optim``"""

ELEMENTWISE = ("Adadelta", "Adagrad", "Adam", "Adamax", "AdamW", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD")
"""classes of ``torch.optim`` that update each number by its own gradients, so that parts of tensors may be updated"""


@dataclass(frozen=True, kw_only=True)
class RunConfig(Section, prefix="run."):
    """run: length, folder and checkpoints of the run."""

    weights_dir: Path = Path("models")
    """folder of the run: configuration, metrics, log and checkpoints"""

    n_epochs: PositiveInt = 60
    """number of epochs of the whole training, including those before a resume"""

    stop_after: NonNegativeInt = 0
    """stop after this many epochs in a row without a lower validation error; 0: train all epochs"""

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
    from the last checkpoint that run.snapshot_freq made, with another order of images, augmentation and dropout"""

    rollbacks: NonNegativeInt = 3
    """rollbacks after which the training stops"""

    limit_batches: NonNegativeInt = 0
    """stop each epoch, and each validation, after this many batches per worker; 0: no limit"""

    overfit_batches: NonNegativeInt = 0
    """train on only this many batches, the first ones, in every epoch, to see whether the network can overfit them;
    0: all"""


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig(Section, prefix="data.synthetic."):
    """data.synthetic: the size of a data set of random images."""

    train: PositiveInt = 1280
    """number of training images"""

    val: PositiveInt = 256
    """number of validation images"""

    classes: PositiveInt = 1000
    """number of classes; labels are random"""


@dataclass(frozen=True, kw_only=True)
class DataConfig(Section, prefix="data."):
    """data: where the images are and how they are read."""

    source: str = "auto"
    """format of the data set: auto (recognised by its files), hickle (packed by preprocessing/generate_data.sh),
    jpeg_folder (class folders), lmdb, cifar10, cifar100, mnist, or synthetic (random images)"""

    dir: Path = Path("data")
    """folder of the data set"""

    misc_dir: Path = Path("misc")
    """folder of mean image, class names and manifest, and the cache of sources other than hickle; relative to
    data.dir"""

    val_share: Share = 0.2
    """class folders without a validation set: share of the images that are used for validation, chosen by a hash
    of their names; misc_dir/split.csv lists them"""

    img_size: PositiveInt = 256
    """side of the square images, in pixels (hickle: ignored, images keep the size they were packed with)"""

    resize: Literal["squash", "crop"] = "squash"
    """how an image becomes square. squash: stretch it; crop: take its central square (hickle: ignored, decided
    when packing)"""

    sampling: Literal["shuffled", "class_uniform"] = "shuffled"
    """shuffled: every image once per epoch; class_uniform: draw a random class, then a random image of it"""

    epoch_size: NonNegativeInt = 0
    """class_uniform: iterations per epoch; 0: as many as it takes to draw the number of training images"""

    shuffle: Literal["images", "files", "none"] = "images"
    """what is reordered each epoch. images: all images; files: the batch files, each read in its own order (for
    disks with slow random access); none: nothing"""

    slots: Annotated[PositiveInt, Constraint("be at least 2", lambda value: value >= 2)] = 8
    """batches that each loader prepares ahead of its trainer"""

    readers: PositiveInt | Literal["auto"] = "auto"
    """reader threads per loader. auto: start with up to 6, as many as the cores of each loader, and change the number
    while the trainer waits for data"""

    decoders: NonNegativeInt | Literal["auto"] = "auto"
    """jpeg_folder, lmdb: decoder processes per loader. auto: start with the cores of each loader, and change the number
    while the trainer waits for data; 0: decode in the loader itself, for debugging"""

    cache: Literal["auto", "none", "disk", "memory"] = "auto"
    """where images are kept. disk (jpeg_folder, lmdb): the first epoch leaves decoded images in misc_dir/cache, and
    later epochs and runs read them; memory (these and hickle): all images are read into memory at the start, once for
    all workers of the machine, and GPUs copy their crops out of it; none: images are read from their files in every
    epoch. auto: for jpeg_folder and lmdb disk, memory or none by the room that there is, otherwise none"""

    on_error: Literal["stop", "wait"] = "stop"
    """when images can no longer be read. stop: save a checkpoint and end the run; wait: retry with growing
    pauses for run.patience_s, then stop"""

    verify: bool = False
    """hickle: compare each batch file with its checksum when a loader first reads from it"""

    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epoch_size and self.sampling == "shuffled":
            raise ConfigError(
                f"data.epoch_size is {self.epoch_size}, but data.sampling shuffled uses every image once per epoch; "
                "set data.sampling to class_uniform or data.epoch_size to 0"
            )


@dataclass(frozen=True, kw_only=True)
class AugmentConfig(Section, prefix="augment."):
    """augment: random changes of the training images."""

    crop: Literal["random", "center", "resized"] = "random"
    """window of the training image. random: at a random place; center: in the middle; resized: of random area
    (augment.area to 1) and aspect ratio (augment.ratio), stretched to the crop size"""

    area: Annotated[float, Constraint("lie between 0 and 1", lambda value: 0 < value <= 1)] = 0.08
    """resized: least share of the image's area that the window covers; few epochs learn more from 0.35"""

    ratio: Annotated[tuple[PositiveFloat, PositiveFloat], Example("[1, 1]")] = (3 / 4, 4 / 3)
    """resized: least and greatest ratio of the window's width to its height; [1, 1]: squares, which show things in the
    proportions of validation images"""

    interpolation: Interpolation = "bilinear"
    """how windows are resized, turned and slanted. bicubic is sharper, as validation images are, and reads 16 pixels
    for each in place of 4; networks with batch norms do without it: model.precise_bn"""

    sizes: Annotated[tuple[PositiveInt, ...], Example("[96, 112, 128]")] = ()
    """ResNets: sides that the window is resized to in equal parts of the training, growing; []: always that of the
    network's input (model.crop). Small images take less time, early in a training that is enough. With a last one of
    7/8 of model.crop objects are about as large in training as in validation (arXiv:1906.06423)"""

    pad: NonNegativeInt = 0
    """random: border of the training image in pixels, zero when normalized, that the window may cover; 0: none; usual
    for images of 32 x 32: 4"""

    mirror: bool = True
    """flip half of the training images horizontally"""

    per_image: bool = True
    """draw crop and flip for each image; false: once per batch"""

    rotation: Annotated[float, Constraint("lie in [0, 180]", lambda value: 0 <= value <= 180)] = 0.0
    """turn the window by a random angle of up to this many degrees to either side; 0: off; usual: 6"""

    shear: Annotated[float, Constraint("lie in [0, 45]", lambda value: 0 <= value <= 45)] = 0.0
    """slant the window across and down by random angles of up to this many degrees; 0: off"""

    auto: Literal["none", "trivial", "rand"] = "none"
    """after the crop, random operations (moved, turned, slanted, recolored ...) as in torchvision. trivial: one of 14
    for each image, of random strength (arXiv:2103.10158); rand: two, of strength 9 of 31 (arXiv:1909.13719)"""

    color_jitter: Fraction = 0.0
    """change brightness, contrast and saturation by random factors in 1 -/+ this value; 0: off; usual: 0.4"""

    pca_lighting: Fraction = 0.0
    """shift colors along ImageNet's principal components by normal noise with this standard deviation; 0: off;
    usual: 0.1"""

    erasing: Fraction = 0.0
    """cover a random rectangle of this share of the training images, 2 to 33 % of the area, with a random color; 0:
    off; usual: 0.25"""

    mixup: NonNegativeFloat = 0.0
    """mix each training image with another of its batch, in shares drawn from Beta(mixup, mixup), and their labels
    alike; 0: off; usual: 0.2"""

    cutmix: NonNegativeFloat = 0.0
    """replace a rectangle of each training image by that of another of its batch, and a share of its label; the
    image's own share of the area is drawn from Beta(cutmix, cutmix); 0: off; usual: 1. With mixup too, each image has
    one of them, by chance"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if list(self.sizes) != sorted(set(self.sizes)):
            raise ConfigError(f"augment.sizes is {list(self.sizes)}; list the sides in rising order, each once")
        if self.ratio[0] > self.ratio[1]:
            raise ConfigError(f"augment.ratio is {list(self.ratio)}; name the least ratio first")
        if self.pad and self.crop != "random":
            raise ConfigError(
                f"augment.pad is {self.pad}, but augment.crop {self.crop} cuts no window at a random place; "
                "set augment.crop to random or augment.pad to 0"
            )

    @property
    def resizes(self) -> bool:
        """Whether the window may have another size than in validation."""
        return bool(self.sizes)

    def size(self, epoch: int, n_epochs: int) -> int | None:
        """Return the side of the network's input in an epoch, counted from 0; None: the usual one."""
        return self.sizes[min(epoch * len(self.sizes) // n_epochs, len(self.sizes) - 1)] if self.resizes else None

    @property
    def mixes(self) -> bool:
        """Whether images are mixed in pairs."""
        return self.mixup > 0 or self.cutmix > 0

    @property
    def together(self) -> int:
        """Images in a row of the order that must be in one worker's batch."""
        return 2 if self.mixes else 1


@dataclass(frozen=True, kw_only=True)
class NormalizeConfig(Section, prefix="normalize."):
    """normalize: mean and standard deviation of the images."""

    mean: Literal["image", "channel", "none"] = "image"
    """what is subtracted from every image, in validation too. image: the mean image of the data set; channel: the
    mean of each channel of it; none: nothing"""

    std: Annotated[tuple[PositiveFloat, PositiveFloat, PositiveFloat], Example("[58.4, 57.12, 57.38]")] | None = None
    """what red, green and blue are divided by afterwards, in validation too, on a scale of 0 to 255; null: not
    divided; ImageNet: [58.4, 57.12, 57.38]"""


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Section, prefix="model."):
    """model: the network."""

    name: str = "alexnet"
    """network to train; --list_models prints all. Its recipe gives the defaults of augment.*, normalize.*,
    optimizer.*, schedule.* and run.n_epochs; networks for images of another size than 256 also that of
    data.img_size"""

    recipe: RecipeChoice = "auto"
    """classic: as the network's authors trained it; modern: as one would today; auto: modern for ResNet-D, classic for
    the others. --list_models prints both"""

    init: Literal["default", "kaiming", "xavier"] = "default"
    """initial weights of convolutions. default: as the network's authors; kaiming, xavier: normal, with variance
    2 or 1 divided by (kernel area x output channels)"""

    crop: NonNegativeInt = 0
    """side of the network's input in pixels; 0: as large a share of the image as its authors took"""

    width: PositiveFloat = 1.0
    """ResNets: factor of the number of channels of every layer, rounded to multiples of 8"""

    activation: Activation = "relu"
    """what follows convolutions and norms in place of ReLU"""

    blurpool: bool = False
    """ResNets (not for CIFAR): blur a map before every second pixel of it is dropped (arXiv:1904.11486)"""

    precise_bn: NonNegativeInt = 0
    """training images on which the statistics of batch norms are measured before the validation after each epoch, cut
    out as validation images are (PreciseBN, torch.optim.swa_utils.update_bn); 0: they are the running averages of the
    training, whose images are augmented"""

    ema: FractionBelow1 = 0.0
    """keep an average of the weights over time, which each update moves by 1 less this of the way to the weights (more
    in the first updates), and validate, save and export that; 0: off; usual: 0.999 to 0.9999"""

    weights: Annotated[str, ExpandUser] | None = None
    """fine-tuning: file or folder with the initial weights: a checkpoint, the folder of a run, safetensors, a
    PyTorch state_dict, a .caffemodel, or theano_alexnet's folder; torchvision: those that it publishes for this network
    (torchvision:IMAGENET1K_V1: those of this name), which are downloaded. The last layer is new when the number of
    classes differs"""

    made_for: str = "auto"
    """images that weights of other programs were trained on, where the file (PyTorch, safetensors) does not tell.
    auto: torchvision; torchvision: RGB, 0 to 1, less a mean, divided by 0.229, 0.224, 0.225; caffe: BGR, 0 to 255, less
    a mean; 0..1, 0..255: RGB, less a mean; others: 'order=bgr mean=104,117,123 std=1,1,1', on a scale of 0 to 255 and
    in this order, each of the three optional. std and order change the weights, unlike normalize.std; mean takes the
    place of the data set's"""

    classes: Literal["by_name", "by_order"] = "by_name"
    """how the classes of a checkpoint or of other weights are matched with those of the data set. by_name: by the
    names of their folders, where the weights tell them; by_order: the first is the first, whatever the names"""

    parallel: Literal["none", "classifier", "towers"] = "none"
    """none: each worker trains the whole network, on its own images; classifier: the fully connected layers are split
    over the workers, each of which computes its share of their columns for the images of all (arXiv:1404.5997); towers:
    alexnet_towers on two workers, each of which computes one tower for the images of both"""

    freeze: Annotated[tuple[str, ...], Example('["features"]')] = ()
    """fine-tuning: parameters that are not trained, by name or by prefix up to a dot, e.g. [features]"""

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_made_for("model.made_for", self.made_for)

    @property
    def variant(self) -> Variant:
        """How the network differs from the published one."""
        return Variant(width=self.width, activation=self.activation, blurpool=self.blurpool, crop=self.crop)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(Section, prefix="optimizer."):
    """optimizer: the rule that moves the weights."""

    name: str = "sgd"
    """sgd: stochastic gradient descent with momentum; adamw: Adam with decoupled weight decay (arXiv:1711.05101);
    radam: rectified Adam (arXiv:1908.03265), with decoupled weight decay; lamb: a rate for each layer, for large
    batches (arXiv:1904.00962); or any class of torch.optim by its name, e.g. Adagrad, which is slower"""

    options: str = ""
    """classes of torch.optim: arguments as NAME=VALUE, e.g. 'eps=1e-6 betas=(0.9,0.99)'"""

    learning_rate: PositiveFloat = 0.01
    """initial learning rate, which schedule.* changes"""

    momentum: FractionBelow1 = 0.9
    """sgd: momentum coefficient; 0: plain gradient descent"""

    nesterov: bool = False
    """sgd: use Nesterov momentum"""

    betas: tuple[FractionBelow1, FractionBelow1] = (0.9, 0.999)
    """adamw, radam, lamb: decay rates of the means of gradients and of their squares"""

    eps: PositiveFloat = 1e-8
    """adamw, radam, lamb: what is added to the root of the mean square; usual with lamb: 1e-6"""

    lookahead: NonNegativeInt = 0
    """any optimizer: updates after which slow weights move half of the way to the fast ones, which continue from there
    (arXiv:1907.08610); 0: off; usual: 6"""

    clip_norm: NonNegativeFloat = 0.0
    """scale the averaged gradient of the whole network down to this norm where it is longer; 0: off; usual: 1"""

    weight_decay: NonNegativeFloat = 5e-4
    """sgd: L2 penalty; otherwise decoupled: the share of a weight that is subtracted is this times the learning rate"""

    decayed: Literal["weights", "all"] = "weights"
    """parameters with weight decay. weights: no biases and normalization parameters; all: every parameter"""

    bias_rate_factor: PositiveFloat = 2.0
    """learning rate of biases and normalization parameters, relative to optimizer.learning_rate"""

    label_smoothing: FractionBelow1 = 0.0
    """share of each label that is spread evenly over all classes, in training"""

    class_weights: str = "none"
    """how much the loss of an image counts in training, by its class. none: all alike; balanced: in inverse proportion
    to the training images of the class; or a number for each class, e.g. '1, 2.5, 1'. data.sampling class_uniform
    draws classes evenly instead"""

    accumulate: PositiveInt = 1
    """batches per worker whose gradients are accumulated for one update"""

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_class_weights(self.class_weights)
        if self.of_torch and not self.name[:1].isupper():
            raise ConfigError(
                f"optimizer.name is {self.name or 'empty'}; it must be one of {', '.join(OPTIMIZERS)}, or a class of "
                "torch.optim, e.g. Adagrad"
            )
        if parse_optimizer_options(self.options) and not self.of_torch:
            raise ConfigError(
                f"optimizer.options is '{self.options}', but optimizer.name {self.name} has keys of its own: "
                "optimizer.betas, optimizer.eps, optimizer.momentum; use these"
            )
        if self.nesterov and self.momentum == 0:
            raise ConfigError(
                "optimizer.nesterov is true, but optimizer.momentum is 0; set optimizer.momentum above 0 or "
                "optimizer.nesterov to false"
            )

    @property
    def of_torch(self) -> bool:
        """Whether the optimizer is a class of ``torch.optim``."""
        return self.name not in OPTIMIZERS

    @property
    def needs_equal_replicas(self) -> list[str]:
        """The keys, with their values, that need the averaged gradient in every update."""
        found = {
            f"optimizer.name {self.name}": self.name != "sgd",
            f"optimizer.lookahead {self.lookahead}": self.lookahead > 0,
            f"optimizer.clip_norm {self.clip_norm:g}": self.clip_norm > 0,
        }
        return [key for key, needs in found.items() if needs]


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

    policy: Literal["step", "auto", "regimes", "cosine", "flat_cosine", "one_cycle", "linear"] = "step"
    """step: divide after the epochs in schedule.steps; auto: divide when the validation error stops falling;
    regimes: follow schedule.regimes; cosine, linear: fall to 0 at run.n_epochs along that curve; flat_cosine: stay
    constant for schedule.flat of the run, then cosine; one_cycle: rise from a 25th for schedule.rise of the run, then
    cosine"""

    steps: Annotated[tuple[PositiveInt, ...], Example("[20, 40]")] = (20, 40)
    """step: epochs, counted from 1, after which the learning rate is divided"""

    divisor: PositiveFloat = 10.0
    """step, auto: what the learning rate is divided by"""

    threshold: float = 0.01
    """auto: divide when the top-1 validation error, a fraction, fell by less than this over two epochs"""

    regimes: Annotated[tuple[Regime, ...], Example("[{first_epoch: 1, rate: 1, decay: 1}]")] = ()
    """regimes: factors of learning rate and weight decay, e.g. [{first_epoch: 1, rate: 1, decay: 1}, {first_epoch:
    19, rate: 0.5, decay: 0}]"""

    flat: FractionBelow1 = 0.7
    """flat_cosine: share of the run with a constant learning rate"""

    rise: FractionBelow1 = 0.3
    """one_cycle: share of the run in which the learning rate rises"""

    warmup_epochs: NonNegativeFloat = 0.0
    """epochs over which the learning rate first rises linearly from 0, a little in each iteration, with every
    policy"""

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


@dataclass(frozen=True, kw_only=True)
class ComputeConfig(Section, prefix="compute."):
    """compute: precision and speed."""

    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    """precision of forward and backward pass; weights and momentum are always float32. auto: bf16 on GPUs that
    support it, else fp32"""

    fused: bool = True
    """on GPUs, train with the fused kernels of the network if it has some: see --list_models"""

    compile: Literal["auto", "always", "never"] = "auto"
    """torch.compile for networks without kernels of their own. auto: on a GPU, where the training is long enough to win
    back the time that compiling takes"""

    deterministic: bool = False
    """use deterministic algorithms on GPUs too, at some cost in speed; on CPUs results are always deterministic"""

    threads: NonNegativeInt = 0
    """CPU threads per trainer; 0: the cores that quota, affinity and load leave free, divided by the number of workers;
    a resumed run keeps its number, on which the last bits depend"""


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

    what: Averaged = "weights"
    """what is averaged at each update. weights: weights and momentum, as theano_alexnet does; gradients: gradients in
    the precision of the backward pass, half the bytes among more than four GPUs or through torch.distributed"""

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
        if self.replicas_differ and self.what != "weights":
            raise ConfigError(
                f"exchange.what is {self.what}, but with exchange.rule {self.rule} every {self.every} iterations "
                "replicas exchange weights, because they differ in between; set exchange.what to weights"
            )

    @property
    def replicas_differ(self) -> bool:
        """Whether replicas differ between exchanges."""
        return self.rule == "elastic" or self.every > 1


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
        if self.batch_size % self.augment.together:
            raise ConfigError(
                f"batch_size is {self.batch_size}, but augment.mixup and augment.cutmix mix images in pairs; make it "
                "even"
            )
        images = parse_made_for("model.made_for", self.model.made_for)
        if images and images.mean and self.normalize.mean == "none":
            raise ConfigError("model.made_for has a mean, but normalize.mean is none; set normalize.mean to channel")
        if self.optimizer.class_weights == "balanced" and self.data.sampling == "class_uniform":
            raise ConfigError(
                "optimizer.class_weights is balanced, but data.sampling class_uniform already draws classes evenly; "
                "set one of the two"
            )
        keys = self._need_equal_replicas
        if self.exchange.replicas_differ and keys:
            raise ConfigError(
                f"{keys[0]} needs replicas that are equal after every update, but with exchange.rule "
                f"{self.exchange.rule} every {self.exchange.every} iterations they differ in between; set "
                "exchange.rule to average and exchange.every to 1, or use SGD alone (model.recipe classic)"
            )
        if self.model.parallel != "none":
            self._check_parallel()
        if self.exchange.alpha * self.world_size > 1:
            raise ConfigError(
                f"exchange.alpha is {self.exchange.alpha:g}, which would move the center beyond the mean of "
                f"{self.world_size} replicas; it must be at most 1 / workers"
            )

    def _check_parallel(self) -> None:
        """Raise ConfigError for what a network that several workers compute together cannot be trained with."""
        parallel = f"model.parallel is {self.model.parallel}"
        if self.exchange.replicas_differ:
            raise ConfigError(
                f"{parallel}, whose workers compute each update together, but exchange.rule is {self.exchange.rule} "
                f"every {self.exchange.every} updates; set exchange.rule to average and exchange.every to 1"
            )
        if self.optimizer.of_torch and self.optimizer.name not in ELEMENTWISE:
            raise ConfigError(
                f"{parallel}, where each worker updates its share by itself, but optimizer.name {self.optimizer.name} "
                "looks at whole tensors; use sgd, adamw, radam or lamb"
            )

    @property
    def _need_equal_replicas(self) -> list[str]:
        """The keys, with their values, that need equal replicas after every update."""
        return self.optimizer.needs_equal_replicas + ([f"model.ema {self.model.ema:g}"] if self.model.ema else [])

    @property
    def world_size(self) -> int:
        """Number of workers."""
        return len(self.devices)

    @property
    def images_per_update(self) -> int:
        """Images whose gradients make one update, over all workers."""
        return self.batch_size * self.world_size * self.optimizer.accumulate
