"""The settings of all preprocessing scripts: paths.yaml, overridden on the command line."""

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import jsonargparse
import yaml

from lib.data.packed.layout import Layout, layout
from lib.errors import ConfigError
from lib.types import Split

PROJECT = Path(__file__).resolve().parent.parent
PATHS_YAML = PROJECT / "preprocessing" / "paths.yaml"
FLAGS = ("strict", "toy")
PATH_KEYS = ("train_img_dir", "val_img_dir", "tar_root_dir", "meta_clsloc_mat", "val_label_file")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to make, and of what."""

    train_img_dir: Path | None = None
    """Training pictures: a folder of class folders, or a tar file (ILSVRC2012_img_train.tar)."""
    val_img_dir: Path | None = None
    """Validation pictures: a folder of class folders, a flat folder, or a tar (ILSVRC2012_img_val.tar)."""
    tar_root_dir: Path = Path("data")
    """The folder the data set goes to."""
    misc_dir: Path = Path("misc")
    """Where mean image, lists and manifest go; a relative path starts from tar_root_dir."""
    meta_clsloc_mat: Path | None = None
    """The devkit's meta.mat (2012) or meta_clsloc.mat (2014, 2015)."""
    val_label_file: Path | None = None
    """The devkit's ground truth for flat validation pictures: one class number a line."""
    img_size: int = 256
    """Side of the square pictures, in pixels."""
    file_batch_size: int = 256
    """Pictures in one batch file; any batch size can be trained from it."""
    resize: Literal["squash", "crop"] = "squash"
    """squash: to a square, ignoring the aspect; crop: short side to img_size, then the centre."""
    seed: int = 1
    """Of the one shuffle of the training pictures."""
    workers: int = 0
    """Processes that decode; 0: one for each core."""
    max_skipped: float = 0.001
    """Share of a split's pictures that may be broken and left out before it is an error."""
    strict: bool = False
    """Make the first broken picture an error."""
    train_images: int | None = None
    """Take only this many training pictures, the first of the shuffled list (null: all; 2560 with --toy)."""
    val_images: int | None = None
    """Take only this many validation pictures, the first of the sorted list (null: all; with --toy 2560,
    or 640 if they are drawn)."""
    toy: bool = False
    """Make a small data set; without a train_img_dir, of pictures drawn into tar_root_dir/toy_images."""

    def __post_init__(self) -> None:
        _at_least(self, 1, "img_size", "file_batch_size", "train_images", "val_images")
        _at_least(self, 0, "workers", "seed")
        if not 0 <= self.max_skipped <= 1:
            raise ConfigError(f"max_skipped is {self.max_skipped}; it is a share, from 0 to 1")

    @property
    def layout(self) -> Layout:
        return layout(self.tar_root_dir, self.misc_dir)

    @property
    def cache_dir(self) -> Path:
        """Holds what can be made again; all else in the data set follows from pictures and settings alone."""
        return self.layout.misc / "cache"

    @property
    def drawn_dir(self) -> Path | None:
        """The folder of drawn toy pictures, if that is what they are made of."""
        return self.tar_root_dir / "toy_images" if self.toy and self.train_img_dir is None else None

    @property
    def n_workers(self) -> int:
        return self.workers or len(os.sched_getaffinity(0))

    def limit(self, split: Split) -> int | None:
        """How many pictures of the split to take at most."""
        given = self.train_images if split == "train" else self.val_images
        if given is not None or not self.toy:
            return given
        return 640 if split == "val" and self.drawn_dir is not None else 2560

    def img_dir(self, split: Split) -> Path:
        """The pictures of the split. Raises ConfigError when none are named."""
        if self.drawn_dir is not None:
            return self.drawn_dir / split
        path = self.train_img_dir if split == "train" else self.val_img_dir
        if path is None:
            raise ConfigError(
                f"{split}_img_dir is not set; name the {split} pictures in {PATHS_YAML.name} or with "
                f"--{split}_img_dir (without any, generate_toy_data.sh draws some)"
            )
        return path


def parse_settings(program: str, about: str, arguments: Sequence[str]) -> Settings:
    """The settings in force: those of paths.yaml (or of ``--paths FILE``), overridden by ``arguments``.

    Raises ConfigError for an unknown or ill-typed key.
    """
    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = jsonargparse.ArgumentParser(prog=program, description=about, exit_on_error=False)
    parser.add_argument("--paths", type=Path, default=PATHS_YAML, help="Take the settings from this file.")
    parser.add_class_arguments(Settings, as_group=False)
    arguments = _normalised(arguments)
    try:
        paths = next((a.split("=", 1)[1] for a in reversed(arguments) if a.startswith("--paths=")), PATHS_YAML)
        read = parser.parse_object(_read_yaml(Path(paths)))
        parser.set_defaults(read.as_dict())
        values = parser.parse_args(arguments).as_dict()
    except jsonargparse.ArgumentError as error:
        raise ConfigError(" ".join(str(error).replace("Parser key ", "").split())) from None
    del values["paths"]
    for key in PATH_KEYS:
        if values[key] is not None:
            values[key] = values[key].expanduser().absolute()
    return Settings(**values)


def _normalised(arguments: Sequence[str]) -> list[str]:
    """``--key=value`` throughout: dashes in keys become underscores, and a flag may stand alone."""
    result: list[str] = []
    rest = list(arguments)
    while rest:
        option, equals, value = rest.pop(0).partition("=")
        if option in ("-h", "--help"):
            return ["--help"]
        if not option.startswith("--"):
            raise ConfigError(f"{option!r} is no option; options look like --img_size 128")
        key = option[2:].replace("-", "_")
        _check_key(key, f"option --{key}")
        if not equals:
            if key in FLAGS and (not rest or rest[0] not in ("true", "false")):
                value = "true"
            elif not rest or rest[0].startswith("--"):
                raise ConfigError(f"option --{key} needs a value")
            else:
                value = rest.pop(0)
        result.append(f"--{key}={value}")
    return result


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; it is to hold the settings") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path} must hold lines of 'key: value'")
    for key in values:
        _check_key(str(key), f"key {key} in {path}")
    from_project = {
        key: str(PROJECT / Path(str(values[key])).expanduser()) for key in PATH_KEYS if values.get(key) is not None
    }
    return {**values, **from_project}


def _check_key(key: str, what: str) -> None:
    known = [field.name for field in fields(Settings)] + ["paths"]
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0)[0]
        raise ConfigError(f"unknown {what}; did you mean {near}?")


def _at_least(settings: Settings, least: int, *keys: str) -> None:
    for key in keys:
        value = getattr(settings, key)
        if value is not None and value < least:
            raise ConfigError(f"{key} is {value}; it must be at least {least}")
