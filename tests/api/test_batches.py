"""Batches in Python are those of the trainer: the same images in the same order, augmented the same way."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import lib as tandem
from lib.api.settings import arguments, read_config
from lib.commands.run import describe
from lib.config.dump import to_yaml
from lib.data.sources.registry import source_kind
from lib.training.plain_step import PlainStep
from tests.support.data_files import write_jpeg_folder
from tests.support.in_process import Run

SETTINGS: dict[str, Any] = {
    "model": {"name": "tiny"},
    "data": {"source": "jpeg_folder", "img_size": 32},
    "augment": {"color_jitter": 0.4, "crop": "random"},
    "normalize": {"std": [60, 50, 40.5]},
    "run.n_epochs": 2,
    "run.resume": "never",
    "batch_size": 7,
    "devices": ["cpu"],
    "logging": {"report": False, "tensorboard": False, "val_freq": 2, "val_images": 4},
}


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    photos = write_jpeg_folder(tmp_path / "photos")
    return SETTINGS | {"data.dir": photos, "run.weights_dir": tmp_path / "models"}


def trained_on(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[list[Tensor], list[Tensor]]:
    """Return the input of every training iteration, and of every validation batch, of a real training."""
    training: list[Tensor] = []
    validation: list[Tensor] = []
    gradients, outputs = PlainStep.gradients, PlainStep.outputs

    def inputs(step: PlainStep, batch: Any) -> Tensor:
        return step._transform(batch.images_BHWC, batch.params_BV)

    def recorded_gradients(step: PlainStep, batch: Any, *rest: Any, **named: Any) -> None:
        training.append(inputs(step, batch))
        gradients(step, batch, *rest, **named)

    def recorded_outputs(step: PlainStep, batch: Any) -> Any:
        validation.append(inputs(step, batch))
        return outputs(step, batch)

    monkeypatch.setattr(PlainStep, "gradients", recorded_gradients)
    monkeypatch.setattr(PlainStep, "outputs", recorded_outputs)
    config = read_config(arguments(settings, config=None, workers=1))
    run = Run(config)
    run.data = describe(config)
    for split in ("train", "val"):
        source = source_kind(config.data).open(config.data, run.data, split, print)
        pixels = np.empty((len(source.labels), 32, 32, 3), np.uint8)
        source.read(np.arange(len(source.labels)), pixels)
        run.images[split] = torch.from_numpy(pixels)
        source.close()
    run.train()
    return training, validation


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": {"name": "resnet20_cifar"}, "augment": {"sizes": [16, 32]}},
        {"augment": {"mixup": 0.2}, "batch_size": 8, "model.made_for": "order=bgr mean=10,20,30"},
    ],
    ids=["plain", "sizes", "mixup"],
)
def test_batches_are_those_of_the_trainer(
    settings: dict[str, Any], changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings | changes
    training, validation = trained_on(settings, monkeypatch)
    with tandem.Batches(settings) as batches:
        assert batches.classes == ("n00", "n01", "n02", "n03")
        found = [images for epoch in (1, 2) for images, _ in batches.training(epoch)]
        assert len(found) == len(training) == 2 * len(batches) >= 6
        for ours, theirs in zip(found, training, strict=True):
            assert torch.equal(ours, theirs)
        center = [images for images, _ in batches.validation()]
        for images in center:
            assert any(torch.equal(images, theirs) for theirs in validation)


def test_images_have_the_size_of_their_epoch(settings: dict[str, Any]) -> None:
    sized = settings | {"model": {"name": "resnet20_cifar"}, "augment": {"sizes": [16, 32]}}
    with tandem.Batches(sized) as batches:
        sides = [next(batches.training(epoch))[0].shape[-1] for epoch in (1, 2)]
        assert [*sides, next(batches.validation())[0].shape[-1]] == [16, 32, 32]


def test_labels_are_those_of_the_images(settings: dict[str, Any]) -> None:
    plain = settings | {"augment": {"color_jitter": 0, "crop": "center", "mirror": False}}
    with tandem.Batches(plain) as batches:
        seen = 0
        for images, labels in batches.training():
            for image, label in zip(images, labels.tolist(), strict=True):  # type: ignore[union-attr]
                quarters = image[0].unfold(0, 14, 14).unfold(1, 14, 14).mean((2, 3)).flatten()
                assert int(quarters.argmax()) == label, "the brightest quarter of an image tells its class"
                seen += 1
        assert seen == 24


def test_a_run_tells_its_settings(settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    config = read_config(arguments(settings, config=None, workers=1))
    (tmp_path / "models/config.yaml").write_text(to_yaml(config))
    with tandem.Batches(settings) as given, tandem.Batches(run=tmp_path / "models") as told:
        for ours, theirs in zip(given.training(2), told.training(2), strict=True):
            assert torch.equal(ours[0], theirs[0])
    with tandem.Batches({"batch_size": 12}, run=tmp_path / "models") as changed:
        assert len(changed) == 2


def test_workers_divide_each_batch_of_all(settings: dict[str, Any]) -> None:
    both = settings | {"devices": ["cpu", "cpu"], "batch_size": 4, "exchange.method": "peer"}
    together = settings | {"batch_size": 8}
    with tandem.Batches(together) as one, tandem.Batches(both, rank=0) as a, tandem.Batches(both, rank=1) as b:
        for whole, first, second in zip(one.training(2), a.training(2), b.training(2), strict=True):
            assert torch.equal(whole[0], torch.cat([first[0], second[0]]))
            labels: list[Any] = [first[1], second[1]]
            assert torch.equal(torch.cat(labels), torch.as_tensor(whole[1]))
    with pytest.raises(ValueError, match="rank is 2, but there are 2 workers"):
        tandem.Batches(both, rank=2)


def test_wrong_settings_are_named(settings: dict[str, Any]) -> None:
    with pytest.raises(tandem.UserError, match="unknown option --data.dri; did you mean --data.dir"):
        tandem.Batches({"data": {"dri": "x"}})
    with pytest.raises(tandem.UserError, match="there are settings for 1, 2, 4, 8 workers, not for 3"):
        tandem.Batches(settings, workers=3)
