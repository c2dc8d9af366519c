"""A network in Python: every way in gives the pixels of classify.py, and every kind of file its figures."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lib as tandem
from lib.data.images.decode import decode
from tests.support.checkpoints import write_run
from tests.support.predictors import predictor
from tests.support.scripts import Script


def colored(width: int, height: int, mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(width)
    small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def lying(kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return file_of(colored(50, 40), kind, exif=exif)


def file_of(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def transparent() -> Image.Image:
    image = colored(50, 40, "RGBA")
    image.putalpha(colored(50, 40, "L"))
    return image


FILES: dict[str, Callable[[], bytes]] = {
    "color": lambda: file_of(colored(50, 40), "PNG"),
    "jpeg": lambda: file_of(colored(50, 40), "JPEG"),
    "large jpeg": lambda: file_of(colored(700, 500), "JPEG"),
    "grey": lambda: file_of(colored(33, 40, "L"), "PNG"),
    "grey jpeg": lambda: file_of(colored(33, 40, "L"), "JPEG"),
    "grey of 16 bits": lambda: file_of(
        Image.fromarray((np.arange(1600).reshape(40, 40) * 40).astype(np.uint16)), "PNG"
    ),
    "alpha": lambda: file_of(transparent(), "PNG"),
    "palette": lambda: file_of(colored(50, 40).quantize(16), "GIF"),
    "CMYK": lambda: file_of(colored(50, 40, "CMYK"), "JPEG"),
    "on its side": lambda: lying("PNG"),
    "jpeg on its side": lambda: lying("JPEG"),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("kind", FILES)
def test_every_way_in_gives_the_pixels_of_classify(tmp_path: Path, kind: str) -> None:
    network = tandem.Network(predictor())
    data = FILES[kind]()
    path = tmp_path / "picture"
    path.write_bytes(data)
    expected = decode(data, 32, "squash")
    for picture in (path, str(path), data):
        np.testing.assert_array_equal(network.prepare(picture), expected)
    with Image.open(path) as opened:
        np.testing.assert_array_equal(network.prepare(opened), expected)
        # The image of the caller is as before: its pixels can still be read, and are those of the file.
        np.testing.assert_array_equal(np.asarray(opened), np.asarray(Image.open(io.BytesIO(data))))
        if kind != "large jpeg":  # which is reduced while it is decoded, but for pixels that were decoded already
            np.testing.assert_array_equal(network.prepare(opened), expected)


@pytest.mark.parametrize("kind", ["color", "grey", "alpha"])
def test_arrays_are_prepared_as_files(kind: str) -> None:
    network = tandem.Network(predictor())
    data = FILES[kind]()
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(network.prepare(pixels), decode(data, 32, "squash"))
    np.testing.assert_array_equal(network.prepare(pixels[::-1][::-1]), decode(data, 32, "squash"))
    if kind == "grey":
        np.testing.assert_array_equal(network.prepare(pixels[:, :, None]), decode(data, 32, "squash"))


@pytest.mark.parametrize("crops", [1, 10])
def test_predictions_are_those_of_classify(models: Path, run_here: Script, tmp_path: Path, crops: int) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(FILES["jpeg on its side"]())
    done = run_here("classify.py", path, "--checkpoint", models, "--json", "--crops", crops)
    prediction = tandem.open(models, device="cpu").predict(path, crops=crops)
    best = [{"class": c.number, "folder": c.folder, "name": c.name, "score": c.probability} for c in prediction.best]
    assert json.loads(done.stdout)["best"] == best
    assert (prediction.name, prediction.probability) == (best[0]["name"], best[0]["score"])
    assert (
        prediction.probabilities[prediction.best[0].number] == prediction.probability == max(prediction.probabilities)
    )


def test_batches_are_lists_generators_and_arrays_of_four_axes(models: Path) -> None:
    network = tandem.open(models, device="cpu")
    arrays = np.stack([np.asarray(colored(40 + number, 30).resize((40, 30))) for number in range(70)])
    alone = np.stack([network.predict(array).probabilities for array in arrays])
    for batch in (arrays, list(arrays), (array for array in arrays)):
        found = network.predict(batch)
        assert len(found) == 70, "more than are computed at a time"
        np.testing.assert_allclose([one.probabilities for one in found], alone, atol=1e-6)
    assert network.predict([]) == []


def test_model_and_preprocess_are_the_parts_of_predict(models: Path) -> None:
    network = tandem.open(models, device="cpu")
    pictures = [colored(50, 40), colored(60, 30)]
    inputs = network.preprocess(pictures)
    assert (inputs.dtype, inputs.shape) == (torch.float32, (2, 3, 28, 28))
    with torch.no_grad():
        probabilities = network.model(inputs).softmax(1)
    expected = [one.probabilities for one in network.predict(pictures)]
    np.testing.assert_allclose(probabilities.numpy(), expected, atol=1e-6)
    assert network.classes == ("class 0", "class 1", "class 2", "class 3")
    assert (network.folders[1], network.img_size, network.name) == ("n1", 32, "tiny")
    assert repr(network) == "Network(tiny, 4 classes, images of 32 x 32)"


def test_weights_of_others_take_their_classes_from_a_folder(tmp_path: Path) -> None:
    state = predictor().model.state_dict()
    torch.save(state, tmp_path / "weights.pth")
    (tmp_path / "synset_words.txt").write_text("".join(f"n{number} kind {number}\n" for number in range(4)))
    np.save(tmp_path / "img_mean.npy", np.full((3, 32, 32), 9, np.float32))
    network = tandem.open(tmp_path / "weights.pth", model="tiny", data=tmp_path, made_for="0..255", std=None)
    assert network.classes[3] == "kind 3"
    assert torch.equal(next(iter(network.model.state_dict().values())), next(iter(state.values())))
    larger = tandem.open(tmp_path / "weights.pth", model="tiny", data=tmp_path, img_size=50, crop=28)
    assert (larger.img_size, larger.preprocess([np.zeros((9, 9, 3), np.uint8)]).shape[2:]) == (50, (28, 28))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        ("nowhere.jpg", "^nowhere.jpg cannot be read: No such file or directory$"),
        (b"text", "it is none of JPEG, PNG"),
        (np.zeros((4, 4, 3)), r"an array of float64 \(4, 4, 3\) is no picture; give uint8"),
        (np.zeros((3, 40, 40), np.uint8), r"uint8 \(3, 40, 40\) is no picture"),
        (np.zeros((0, 4, 3), np.uint8), "is no picture"),
        (Image.new("F", (4, 4)), "its pixels are of type F"),
    ],
)
def test_what_is_no_picture_is_an_error(picture: object, message: str) -> None:
    network = tandem.Network(predictor())
    with pytest.raises(tandem.UserError, match=message):
        network.predict(picture)  # type: ignore[call-overload]


def test_a_folder_without_weights_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(tandem.UserError, match="there are no weights in"):
        tandem.open(tmp_path)
