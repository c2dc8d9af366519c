"""Find the images to pack with the names of their classes, in every layout that training reads, or in tar files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..config.schema import DataConfig
from ..data.images.listing import ImageFile, ImageList, class_of
from ..data.sources.class_folders import SPLIT_RECORD, find_labeled_images, split_places
from ..data.sources.equal_files import warn_of_equal_files
from ..data.sources.labeled_images import LabeledImage, LabeledImages
from ..data.sources.recognise import recognise
from ..data.sources.validation_classes import match_validation
from ..errors import ConfigError, DataError
from ..types import SPLITS, Split
from .command import say
from .listing import list_folder_or_tar
from .settings import Settings
from .val_labels import labels_of_flat


@dataclass(frozen=True)
class LabeledFiles:
    """The images of one split, sorted by name, and the class of each name."""

    root: Path
    entries: list[ImageFile]
    labels: Mapping[str, str]

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, sorted."""
        return tuple(sorted(set(self.labels.values())))

    @property
    def images(self) -> LabeledImages:
        """The same without offsets."""
        return LabeledImages(self.root, [LabeledImage(e.name, e.bytes, self.labels[e.name]) for e in self.entries])


def find_images(settings: Settings) -> dict[Split, LabeledFiles]:
    """Return the images of both splits; those for validation are of classes that training has. Raises UserError."""
    found = _recognised(settings, settings.img_dir) if settings.img_dir else None
    if found is None:
        train = _in_folders("train", list_folder_or_tar(settings.source("train"), settings.cache_dir))
        found = {"train": train, "val": _validation(settings, train.classes)}
    return found


def warn_of_equal(settings: Settings, found: Mapping[Split, LabeledFiles]) -> None:
    """Name files that are in training and in validation, or in two classes, unless they lie in a tar."""
    places = split_places(settings.img_dir) if settings.img_dir else None
    if not (places and places["train"] == places["val"]) and all(found[split].root.is_dir() for split in SPLITS):
        warn_of_equal_files(found["train"].images, found["val"].images)


def _recognised(settings: Settings, folder: Path) -> dict[Split, LabeledFiles]:
    """Return the images of a data set in any layout, split as a training has split them or would."""
    trained = (folder / DataConfig.misc_dir / SPLIT_RECORD).is_file()
    misc_dir = DataConfig.misc_dir if trained else settings.layout.misc.absolute()
    data = DataConfig(dir=folder, misc_dir=misc_dir, val_share=settings.val_share)
    if not folder.is_dir():
        raise DataError(f"img_dir {folder} is no folder; tar files are named with train_img_dir and val_img_dir")
    if (kind := recognise(DataConfig(dir=folder))) != "jpeg_folder":
        raise ConfigError(
            f"img_dir {folder} is a data set that train.py reads as it is: --data.dir {folder} --data.source {kind}"
        )
    found = find_labeled_images(data)
    for text in dict.fromkeys(images.passed_over for images in found.values() if images.passed_over):
        say(text)
    return {
        split: LabeledFiles(
            images.root,
            [ImageFile(image.name, image.bytes, modified_ns=image.modified_ns) for image in images.images],
            {image.name: image.label for image in images.images},
        )
        for split, images in found.items()
    }


def _in_folders(split: Split, found: ImageList) -> LabeledFiles:
    if found.passed_over:
        say(found.passed_over)
    if not found.classes:
        raise DataError(f"{found.root} holds no class folders; {split} images must be in one folder for each class")
    return LabeledFiles(found.root, found.entries, {entry.name: class_of(entry.name) for entry in found.entries})


def _validation(settings: Settings, classes: Sequence[str]) -> LabeledFiles:
    listed = list_folder_or_tar(settings.source("val"), settings.cache_dir)
    if listed.classes:
        val = _in_folders("val", listed)
    else:
        if listed.passed_over:
            say(listed.passed_over)
        val = LabeledFiles(listed.root, listed.entries, labels_of_flat(settings, listed, classes))
    matched = {image.name for image in match_validation(val.images, classes, str(settings.source("train"))).images}
    return replace(val, entries=[entry for entry in val.entries if entry.name in matched])
