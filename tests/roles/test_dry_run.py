"""What --dry_run says that it leaves."""

from pathlib import Path

from lib.config.schema import DataConfig
from lib.data.sources.registry import source_kind
from lib.roles.dry_run import written
from tests.support.data_files import WRITERS


def test_results_about_images_that_are_kept_are_named(tmp_path: Path) -> None:
    WRITERS["jpeg_folder"](tmp_path)
    data = DataConfig(source="jpeg_folder", dir=tmp_path, img_size=32, decoders=0)
    assert written(data) == "nothing was written"
    source_kind(data).describe(data)
    misc = tmp_path / "misc"
    assert written(data) == f"no run was written; lists of images and their mean are kept in {misc}"
    assert list(misc.glob("train_images_*.npz"))
