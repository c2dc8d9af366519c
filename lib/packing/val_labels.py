"""Find the classes of validation images: by folder, or by the devkit's ground truth."""

from collections.abc import Sequence

from ..errors import ConfigError, DataError
from .devkit import read_ground_truth, read_synsets
from .listing import list_folder_or_tar
from .settings import Settings
from .sources import Sources


def check_val_labels(settings: Settings, sources: Sources) -> None:
    """Raise DataError before hours of packing if images in a flat folder have no labels."""
    if "/" not in sources.val.entries[0].name:
        wnids_of_flat(settings, sources.recipe.classes)


def wnids_of_flat(settings: Settings, classes: Sequence[str]) -> dict[str, str]:
    """Return the class folder of each validation image of a flat folder, by its name.

    Line i of the ground truth belongs to the i-th name in sorted order. Raises ConfigError if the devkit's files are
    not set, and DataError if they do not match the images.
    """
    truth_path, mat_path = settings.val_label_file, settings.meta_clsloc_mat
    if truth_path is None or mat_path is None:
        key = "val_label_file" if truth_path is None else "meta_clsloc_mat"
        raise ConfigError(f"the validation images are in no class folders, so set {key} in paths.yaml or with --{key}")
    entries = list_folder_or_tar(settings.img_dir("val"), settings.cache_dir).entries
    ids = read_ground_truth(truth_path)
    if len(ids) != len(entries):
        raise DataError(f"{truth_path} has {len(ids)} lines, but {settings.img_dir('val')} has {len(entries)} images")
    wnid_of = {synset.id: synset.wnid for synset in read_synsets(mat_path)}
    folders = set(classes)
    for line, id in enumerate(ids, 1):
        if id not in wnid_of:
            raise DataError(f"{truth_path}, line {line}: {mat_path} has no class of number {id}")
        if wnid_of[id] not in folders:
            raise DataError(
                f"{truth_path}, line {line}: class {id} is {wnid_of[id]}, which has no folder in "
                f"{settings.img_dir('train')}"
            )
    return {entry.name: wnid_of[id] for entry, id in zip(entries, ids, strict=True)}
