"""docs/augmentation.md shows every augmentation."""

import importlib.util
import re
from dataclasses import fields

from lib.config.schema import AugmentConfig
from tests.support.scripts import ROOT

PAGE = ROOT / "docs/augmentation.md"


def test_the_page_explains_every_key() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert not [field.name for field in fields(AugmentConfig) if f"augment.{field.name}" not in text]


def test_every_picture_is_shown_and_can_be_drawn() -> None:
    spec = importlib.util.spec_from_file_location("draw_augmentations", ROOT / "docs/draw_augmentations.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    shown = re.findall(r"\]\(pictures/augment_(\w+)\.jpg\)", PAGE.read_text(encoding="utf-8"))
    assert set(shown) == set(script.PICTURES)
    images = script.toys()
    drawn = {name: script.picture(settings, images).tobytes() for name, settings in script.PICTURES.items()}
    assert len(set(drawn.values())) == len(drawn)
    assert {path.stem for path in (ROOT / "docs/pictures").glob("augment_*.jpg")} == {f"augment_{n}" for n in shown}
