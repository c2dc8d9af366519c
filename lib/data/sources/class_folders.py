"""Find the images of class folders, in every layout that people keep them in.

    DIR/train/CLASS/FILE and DIR/val/CLASS/FILE                  or valid/, validation/, test/ for val/
    DIR/CLASS/FILE                                               split by data.val_share, see ``split``
    DIR/train/CLASS/images/FILE, DIR/val/images/FILE and
    DIR/val/val_annotations.txt: lines of "FILE CLASS ..."       as Tiny ImageNet has it

Class names are compared in Unicode's composed form (NFC): a Mac writes "é" as two characters, Linux as one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...config.schema import DataConfig
from ...errors import DataError, reading
from ...types import SPLITS, Split
from ..class_names import composed
from ..images.listing import ImageFile, class_of, image_list, is_image, list_images, walk
from ..packed.layout import layout
from .split import LabeledImage, split_images

VAL_FOLDERS = ("val", "valid", "validation", "test")
_ANNOTATIONS = "val_annotations.txt"


@dataclass(frozen=True)
class LabeledImages:
    """The images of one split, sorted by name. Names are relative to ``root``."""

    root: Path
    images: list[LabeledImage]
    passed_over: str = ""
    """one line that counts the files that are no images, or empty"""

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, sorted."""
        return tuple(sorted({image.label for image in self.images}))


def split_roots(folder: Path) -> dict[Split, Path]:
    """Return the folder of each split; both are ``folder`` itself if it is not split. Raises DataError."""
    if not folder.is_dir():
        raise DataError(f"data folder {folder} does not exist; name one that holds train/ and val/ with --data.dir")
    val = next((path for name in VAL_FOLDERS if (path := folder / name).is_dir()), None)
    train = folder / "train"
    if train.is_dir() and val:
        return {"train": train, "val": val / "images" if (val / _ANNOTATIONS).is_file() else val}
    if train.is_dir():
        raise DataError(
            f"{folder} holds train/, but none of {', '.join(f'{name}/' for name in VAL_FOLDERS)}; add one, or name "
            f"{train} with --data.dir to split it by data.val_share"
        )
    if val:
        raise DataError(f"{folder} holds no folder train/; its images must be in train/CLASS/ and {val.name}/CLASS/")
    return {"train": folder, "val": folder}


def find_labeled_images(data: DataConfig) -> dict[Split, LabeledImages]:
    """Return the images of both splits, which have the same classes. Raises DataError."""
    roots = split_roots(data.dir)
    if roots["train"] == roots["val"]:
        found = images_of_folders(data.dir, _without_others(data.dir))
        _check_several(found)
        record = layout(data.dir, data.misc_dir).misc / "split.csv"
        sides = split_images(data.dir, found.images, data.val_share, record)
        return {split: LabeledImages(data.dir, sides[split], found.passed_over) for split in SPLITS}
    if roots["train"].samefile(roots["val"]):
        print(
            f"warning: {roots['train']} and {roots['val']} are the same folder, so validation tells nothing", flush=True
        )
    train, annotations = images_of_folders(roots["train"]), roots["val"].parent / _ANNOTATIONS
    annotated = roots["val"].parent != data.dir
    val = _annotated(roots["val"], annotations) if annotated else images_of_folders(roots["val"])
    _check_several(train)
    _check_same(train, val)
    return {"train": train, "val": val}


def images_of_folders(root: Path, files: Iterable[ImageFile] | None = None) -> LabeledImages:
    """Return the images in ROOT/CLASS/ and ROOT/CLASS/images/, of ``files`` or else of all in ``root``.

    Raises DataError as ``image_list`` does, and if there are no class folders.
    """
    original: dict[str, str] = {}

    def flat() -> Iterator[ImageFile]:
        for file in walk(root) if files is None else files:
            folder, _, rest = file.name.partition("/images/")
            moved = f"{folder}/{rest}" if rest and "/" not in folder else file.name
            original[moved] = file.name
            yield file._replace(name=moved)

    found = image_list(root, flat())
    if not found.classes:
        raise DataError(f"{root} holds images but no class folders; sort them into one folder a class")
    images = [
        LabeledImage(original[file.name], file.bytes, class_of(file.name), file.modified_ns) for file in found.entries
    ]
    return LabeledImages(root, images, found.passed_over)


def _annotated(root: Path, annotations: Path) -> LabeledImages:
    """Return the images of a flat folder with the classes that lines of "FILE CLASS ..." give them."""
    with reading(annotations, DataError, "save it as UTF-8 text of lines of a file name and a class"):
        lines = [line.split() for line in annotations.read_text("utf-8-sig").splitlines() if line.strip()]
    labels = {line[0]: composed(line[1]) for line in lines if len(line) > 1}
    found = list_images(root)
    if missing := next((file.name for file in found.entries if file.name not in labels), None):
        raise DataError(f"{annotations} names no class for {root / missing}; add a line, or remove the image")
    images = [LabeledImage(file.name, file.bytes, labels[file.name]) for file in found.entries]
    return LabeledImages(root, images, found.passed_over)


def _without_others(root: Path) -> Iterator[ImageFile]:
    """Yield the files of an unsplit folder, but no folder of a run and none without an image, such as misc/."""
    files = list(walk(root))
    filled = {file.name.partition("/")[0] for file in files if "/" in file.name and is_image(file.name)}
    classes = {name for name in filled if not (root / name / "metrics.jsonl").exists()}
    return (file for file in files if "/" not in file.name or file.name.partition("/")[0] in classes)


def _check_several(found: LabeledImages) -> None:
    """Raise DataError if there is a single class."""
    counts = Counter(image.label for image in found.images)
    if len(counts) == 1:
        [(name, count)] = counts.items()
        raise DataError(
            f"{found.root} holds a single class folder, {name} ({count:,} images), and there is nothing to tell it "
            "from; name with --data.dir the folder that holds one folder for each class"
        )


def _check_same(train: LabeledImages, val: LabeledImages) -> None:
    """Raise DataError unless both splits have the same class folders."""
    for here, there in ((train, val), (val, train)):
        foreign = sorted(set(here.classes) - set(there.classes))
        if foreign:
            raise DataError(
                f"{here.root} has {len(foreign)} class folders that are not in {there.root}: "
                f"{', '.join(foreign[:5])}; both must have the same"
            )
