"""The settings of packing: paths.yaml, overridden on the command line."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..config.arguments import field_help
from ..config.convert import build, from_argument, from_yaml
from ..config.dump import flow
from ..config.field_type import field_types
from ..config.plain_parser import PlainParser
from ..config.section import Fraction, NonNegativeInt, PositiveInt, Section, Seed, Share
from ..config.yaml_file import read_settings
from ..data.packed.layout import Layout, layout
from ..errors import ConfigError
from ..system.cpus import usable_cores
from ..types import Split

FLAGS = ("strict", "toy")
# Relative ones start from the clone in paths.yaml, and from the current folder on the command line.
PATH_KEYS = ("img_dir", "train_img_dir", "val_img_dir", "tar_root_dir", "meta_clsloc_mat", "val_label_file")
# A process takes half a second of a core to start, in which another one decodes 1,000 images of 144 x 144.
_IMAGES_PER_WORKER = 250


@dataclass(frozen=True, kw_only=True)
class Settings(Section, prefix=""):
    """What to make, and from what."""

    img_dir: Path | None = None
    """All images, instead of the next two: a folder in a layout that data.source auto reads, such as train/ and val/;
    class folders alone are split as train.py splits them."""
    val_share: Share = 0.2
    """Share of the images of an img_dir without validation images that is used for validation, as data.val_share."""
    train_img_dir: Path | None = None
    """Training images: a folder of class folders, or a tar file (ILSVRC2012_img_train.tar)."""
    val_img_dir: Path | None = None
    """Validation images: a folder of class folders, a flat folder, or a tar (ILSVRC2012_img_val.tar)."""
    tar_root_dir: Path = Path("data")
    """Folder of the data set."""
    misc_dir: Path = Path("misc")
    """Folder of mean image, lists and manifest; relative to tar_root_dir."""
    meta_clsloc_mat: Path | None = None
    """The devkit's meta.mat (2012) or meta_clsloc.mat (2014, 2015)."""
    val_label_file: Path | None = None
    """For validation images in a flat folder or tar: the devkit's ground truth, whose line 293 is the class number of
    the image ..._00000293.JPEG, or a list of lines of NAME LABEL."""
    img_size: PositiveInt = 256
    """Side of the square images, in pixels."""
    file_batch_size: PositiveInt = 256
    """Images in one batch file; any batch size can be trained from it."""
    resize: Literal["squash", "crop"] = "squash"
    """squash: to a square, without keeping the aspect ratio; crop: short side to img_size, then the center."""
    seed: Seed = 1
    """Seed of the one shuffle of the training images."""
    workers: NonNegativeInt = 0
    """Processes that decode; 0: one a core, fewer for few images."""
    max_skipped: Fraction = 0.001
    """Share of the images of a split that may be broken and skipped; more are an error."""
    strict: bool = False
    """Make the first broken image an error."""
    train_images: PositiveInt | None = None
    """Take only this many training images, the first of the shuffled list (null: all; 2560 with --toy)."""
    val_images: PositiveInt | None = None
    """Take only this many validation images, the first of the sorted list (null: all; with --toy 2560,
    or 640 if they are drawn)."""
    toy: bool = False
    """Make a small data set; without an img_dir or train_img_dir, from images drawn into tar_root_dir/toy_images."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.img_dir and (self.train_img_dir or self.val_img_dir):
            raise ConfigError("img_dir is for all images, so train_img_dir and val_img_dir may not be set; unset one")

    @property
    def layout(self) -> Layout:
        """The paths of the data set."""
        return layout(self.tar_root_dir, self.misc_dir)

    @property
    def cache_dir(self) -> Path:
        """Folder of what can be made again; everything else in the data set depends on images and settings alone."""
        return self.layout.misc / "cache"

    @property
    def drawn_dir(self) -> Path | None:
        """The folder of drawn images, if the data set is made from them."""
        return self.tar_root_dir / "toy_images" if self.toy and not (self.train_img_dir or self.img_dir) else None

    def n_workers(self, images: int) -> int:
        """Return how many processes decode this many images."""
        return self.workers or min(usable_cores(), max(1, images // _IMAGES_PER_WORKER))

    def limit(self, split: Split) -> int | None:
        """Return the most images to take of the split."""
        given = self.train_images if split == "train" else self.val_images
        if given is not None or not self.toy:
            return given
        return 640 if split == "val" and self.drawn_dir is not None else 2560

    def source(self, split: Split) -> Path:
        """Return the images of the split: a folder or a tar. Raises ConfigError if it is not set."""
        if self.drawn_dir is not None:
            return self.drawn_dir / split
        path = self.train_img_dir if split == "train" else self.val_img_dir
        if path is None:
            raise ConfigError(
                f"{split}_img_dir is not set; name the {split} images in paths.yaml or with --{split}_img_dir, or all "
                "images with --img_dir (without any, generate_toy_data.sh draws some)"
            )
        return path


def parse_settings(program: str, description: str, arguments: Sequence[str], clone: Path | None = None) -> Settings:
    """Return the settings of paths.yaml in the ``clone``, or of ``--paths FILE``, overridden by ``arguments``.

    Where the program is installed there is no clone: no file is read by default, and relative paths in FILE start from
    the current folder.

    Ends the process for --help. Raises ConfigError for an unknown key or a value of the wrong type.
    """
    given = _options(arguments)
    if "help" in given:
        _help_parser(program, description).print_help()
        raise SystemExit(0)
    values: dict[str, Any] = {"tar_root_dir": Settings.tar_root_dir}
    file = given.pop("paths", None) or (clone and clone / "preprocessing" / "paths.yaml")
    if file:
        values |= _read_file(Path(file), clone or Path())
    values |= {key: from_argument(key, text, field_types(Settings)[key]) for key, text in given.items()}
    for key in PATH_KEYS:
        if values.get(key) is not None:
            values[key] = values[key].absolute()
    return build(Settings, values)


def _options(arguments: Sequence[str]) -> dict[str, str]:
    """Return the text of every option by key. Dashes in keys become underscores, and a flag may stand alone."""
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        option, equals, value = rest.pop(0).partition("=")
        if option in ("-h", "--help"):
            return {"help": ""}
        if not option.startswith("--"):
            raise ConfigError(f"{option!r} is not an option; options look like --img_size 128")
        key = option[2:].replace("-", "_")
        if hint := _unknown_hint(key):
            raise ConfigError(f"unknown option --{key}{hint}")
        if not equals:
            if key in FLAGS and (not rest or rest[0] not in ("true", "false")):
                value = "true"
            elif not rest or rest[0].startswith("--"):
                raise ConfigError(f"option --{key} needs a value")
            else:
                value = rest.pop(0)
        given[key] = value
    return given


def _read_file(path: Path, root: Path) -> dict[str, Any]:
    """Return the value of every key in a settings file, whose paths start from ``root``.

    Raises ConfigError naming the file.
    """
    values = {}
    for key, value in read_settings(path):
        try:
            if hint := _unknown_hint(key):
                raise ConfigError(f"unknown key {key}{hint}")
            values[key] = from_yaml(key, value, field_types(Settings)[key])
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        if key in PATH_KEYS and values[key] is not None:
            values[key] = root / values[key]
    return values


def _unknown_hint(key: str) -> str:
    """Return the closest key as the end of an error message; an empty text if ``key`` exists."""
    keys = [*field_types(Settings), "paths"]
    return "" if key in keys else f"; did you mean {difflib.get_close_matches(key, keys, n=1, cutoff=0)[0]}?"


def _help_parser(program: str, description: str) -> PlainParser:
    parser = PlainParser(program, description=description)
    parser.usage = "%(prog)s [--KEY VALUE ...]"
    parser.add_argument(
        "--paths", metavar="FILE", help="Take the settings from FILE (in a clone by default: preprocessing/paths.yaml)."
    )
    for key, text in field_help(Settings).items():
        default = flow(getattr(Settings(), key))
        parser.add_argument(f"--{key}", metavar=key.upper(), help=f"{text} (default: {default})".replace("%", "%%"))
    return parser
