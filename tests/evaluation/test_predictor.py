"""A trained network gets images normalized as in its training, whatever the configuration is."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.checkpoints.checkpoint import Checkpoint, Identity, Preparation, check_preparation
from lib.errors import CheckpointError, ConfigError, WeightsError
from lib.evaluation.exported import describe_input
from lib.evaluation.predictor import open_predictor, predictor_of_checkpoint
from lib.formats import safe_tensors
from lib.models.recipes import IMAGENET_STD
from lib.models.registry import model_spec
from lib.types import PUBLISHED, Variant
from tests.support.data_sets import write_data_set

MEAN_CHW = 255 * torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
IMAGE_1HWC = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)


def preparation(**more: object) -> Preparation:
    classes = tuple((f"n{i}", f"class {i}") for i in range(4))
    return Preparation(resize="squash", mean=MEAN_CHW, classes=classes, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "lost_CHW", "std"),
    [
        ({}, MEAN_CHW, 1.0),
        ({"subtracted": "channel"}, MEAN_CHW.mean((1, 2), keepdim=True).expand(3, 32, 32), 1.0),
        ({"subtracted": "none", "std": (50.0, 50.0, 50.0)}, torch.zeros(3, 32, 32), 50.0),
    ],
    ids=str,
)
def test_a_checkpoint_holds_the_normalization_of_its_training(
    more: dict[str, object], lost_CHW: torch.Tensor, std: float
) -> None:
    torch.manual_seed(0)
    model = model_spec("tiny").build(4, 28).eval()
    saved = Checkpoint(
        identity=Identity(model="tiny", n_classes=4, img_size=32, data_fingerprint="abc"),
        preparation=preparation(**more),
        seed=1,
        epoch=1,
        total_batch_size=4,
        iteration=0,
        val_record=torch.zeros(1, 2),
        parameters=model.state_dict(),
        momentum={},
    )
    image_CHW = torch.from_numpy(IMAGE_1HWC[0]).permute(2, 0, 1).float()
    seen_1CHW = ((image_CHW - lost_CHW) / std)[None, :, 2:30, 2:30]
    expected = model(seen_1CHW).softmax(1).double()
    torch.testing.assert_close(
        predictor_of_checkpoint(saved).probabilities(IMAGE_1HWC, 1), expected, rtol=1e-4, atol=1e-6
    )


def test_foreign_weights_use_the_normalization_of_the_recipe_or_of_the_options(tmp_path: Path) -> None:
    write_data_set(tmp_path / "data", img_size=40)
    torch.save(model_spec("resnet18").build(4, 35).state_dict(), tmp_path / "resnet.pt")
    options = {
        "checkpoint": str(tmp_path / "resnet.pt"),
        "model": "resnet18",
        "data": tmp_path / "data",
        "classes": "by_name",
        "made_for": "auto",
        "img_size": 0,
        **vars(PUBLISHED),
    }
    predictor = open_predictor(argparse.Namespace(**options, mean=None, std=None))
    assert (predictor.preparation.subtracted, predictor.preparation.std) == ("channel", None)
    image = np.random.default_rng(0).integers(0, 256, (1, 40, 40, 3), dtype=np.uint8)
    plain = predictor.probabilities(image, 1)
    predictor = open_predictor(argparse.Namespace(**options, mean=None, std=[58.4, 57.12, 57.38]))
    torch.testing.assert_close(predictor.probabilities(image, 1), plain, rtol=1e-3, atol=1e-6)  # weights follow
    predictor = open_predictor(argparse.Namespace(**options, mean="none", std=[58.4, 57.12, 57.38]))
    assert (predictor.preparation.subtracted, predictor.preparation.std) == ("none", IMAGENET_STD)
    options |= {"made_for": "order=bgr mean=10,20,30"}
    mean = open_predictor(argparse.Namespace(**options, mean=None, std=None)).preparation.mean
    assert mean[:, 0, 0].tolist() == mean[:, -1, -1].tolist() == [30, 20, 10]


def test_foreign_weights_of_another_size_take_it_from_the_options(tmp_path: Path) -> None:
    write_data_set(tmp_path / "data", img_size=40)
    state = model_spec("tiny").build(4, 96).state_dict()
    torch.save(state, tmp_path / "w.pt")
    options = argparse.Namespace(
        checkpoint=str(tmp_path / "w.pt"),
        model="tiny",
        data=tmp_path / "data",
        classes="by_name",
        made_for="auto",
        mean="channel",
        std=None,
        img_size=112,
        **vars(Variant(crop=96)),
    )
    predictor = open_predictor(options)
    assert predictor.inputs(np.zeros((1, 112, 112, 3), np.uint8)).shape == (1, 3, 96, 96)
    assert predictor.describe_input() == "images are resized to 112 x 112, and the network sees 96 x 96 of them"
    options.mean = "image"
    with pytest.raises(
        ConfigError, match="--img_size is 112, but the mean image in .* has 40 x 40 pixels; give --mean"
    ):
        open_predictor(options)


def test_foreign_weights_need_a_data_folder(tmp_path: Path) -> None:
    torch.save(model_spec("tiny").build(4, 35).state_dict(), tmp_path / "w.pt")
    options = argparse.Namespace(
        checkpoint=str(tmp_path / "w.pt"),
        model="tiny",
        data=None,
        classes="by_name",
        made_for="auto",
        mean=None,
        std=None,
        img_size=0,
        **vars(PUBLISHED),
    )
    with pytest.raises(
        WeightsError, match="w.pt is no checkpoint of this program; weights of other programs need --model"
    ):
        open_predictor(options)
    (tmp_path / "w.pt").write_bytes((tmp_path / "w.pt").read_bytes()[:500])
    with pytest.raises(CheckpointError, match="w.pt is damaged or not a checkpoint"):
        open_predictor(options)


def test_resuming_with_another_normalization_is_refused() -> None:
    here = preparation(subtracted="channel", std=IMAGENET_STD)
    check_preparation(Path("c.pt"), here, here)
    with pytest.raises(
        CheckpointError, match=r"trained with normalize.mean image, here it is channel; add --normalize.mean"
    ):
        check_preparation(Path("c.pt"), preparation(), here)
    with pytest.raises(
        CheckpointError, match=r"normalize.std null, here it is \[58.4, 57.12, 57.38\]; add --normalize.std 'n"
    ):
        check_preparation(Path("c.pt"), preparation(subtracted="channel"), here)


def test_an_exported_file_describes_its_input() -> None:
    assert describe_input(preparation()) == "float32 RGB, 0 to 255, minus the mean image"
    text = describe_input(preparation(subtracted="channel", std=(50.0, 51.0, 52.0)))
    means = [round(value, 2) for value in MEAN_CHW.mean((1, 2)).tolist()]
    assert text == f"float32 RGB, 0 to 255, minus the channel means {means}, divided by [50.0, 51.0, 52.0]"


def test_class_names_follow_the_classes_that_weights_tell(tmp_path: Path) -> None:
    at = write_data_set(tmp_path / "data", img_size=40)
    state, folders = model_spec("tiny").build(4, 35).state_dict(), ["n00000002", "n00000000", "n00000001", "n00000003"]
    metadata = {"network": "tiny", "folders": json.dumps(folders)}
    safe_tensors.write(state, metadata, tmp_path / "w.safetensors")
    options = argparse.Namespace(
        checkpoint=str(tmp_path / "w.safetensors"),
        model="tiny",
        data=at.dir,
        classes="by_name",
        made_for="auto",
        mean=None,
        std=None,
        img_size=0,
        **vars(PUBLISHED),
    )
    assert open_predictor(options).preparation.classes[0] == ("n00000002", "class 2")
    options.classes = "by_order"
    assert open_predictor(options).preparation.classes[0] == ("n00000000", "class 0")
    options.classes = "by_name"
    safe_tensors.write(state, metadata | {"folders": '["a", "b", "c", "d"]'}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="4 of its classes are not in this data set, such as a and 4 of this"):
        open_predictor(options)
