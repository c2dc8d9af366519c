"""Nothing from outside is executed, and whatever the four parsers are given ends in an error of ours.

Messages, batch files, checkpoints and pictures are fed damaged and random bytes by hypothesis: each time the answer
must be a right one or one of our errors; never a crash, a hang or another exception.
"""

import ast
import io
import pickle
import warnings
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lib.checkpoint import FORMAT, Checkpoint, load
from lib.data.batch_file import pixel_offset
from lib.data.decode import decode as decode_picture
from lib.errors import CheckpointError, DataError, ProtocolError
from lib.ipc.channel import MAX_BYTES, Channel
from lib.ipc.messages import Fill, Message, decode, encode

ROOT = Path(__file__).parents[1]
PRODUCT = [*(ROOT / "lib").rglob("*.py"), *(ROOT / "preprocessing").rglob("*.py"), *ROOT.glob("*.py")]
FORBIDDEN = {
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open", "yaml.load"),
    *("yaml.unsafe_load", "yaml.full_load", "hickle.load", "hkl.load", "eval", "exec", "os.system", "joblib.load"),
}
# What makes a call safe, where it is not safe by itself.
DEMANDED = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
many = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


def test_the_product_executes_nothing_it_reads() -> None:
    seen = set()
    for path in PRODUCT:
        for call in calls(path):
            name = ast.unparse(call.func)
            keywords = {k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)}
            assert name not in FORBIDDEN, f"{path}:{call.lineno} {name}"
            assert not (keywords.get("shell") or name.endswith(".extractall")), f"{path}:{call.lineno} {name}"
            if name in DEMANDED:
                key, value = DEMANDED[name]
                assert keywords.get(key) is value, f"{path}:{call.lineno} {name} without {key}={value}"
                seen.add(name)
    assert seen == set(DEMANDED)  # the test looks where it should


class Bomb:
    """Leaves a file behind if it is ever unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return (open, ("unpickled", "w"))


def test_a_pickle_in_a_checkpoint_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "bomb": Bomb()}, "zip.pt")
    Path("plain.pt").write_bytes(pickle.dumps(Bomb()))
    for name in ("zip.pt", "plain.pt"):
        with pytest.raises(CheckpointError, match="is damaged or no checkpoint"):
            load(Path(name))
    assert not Path("unpickled").exists()


def test_a_pickle_in_a_batch_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """hickle stores what it does not know as a pickle; we read numbers or nothing."""
    monkeypatch.chdir(tmp_path)
    with h5py.File("00000.hkl", "w") as file:
        file["data"] = np.frombuffer(pickle.dumps(Bomb()), np.uint8)
        file["data"].attrs["type"] = np.void(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match="where the manifest says"):
        pixel_offset(Path("00000.hkl"), (16, 32, 32, 3))
    assert not Path("unpickled").exists()


def test_a_zip_bomb_of_a_picture_is_refused() -> None:
    """A few kilobytes that would become 400 megapixels."""
    file = io.BytesIO()
    Image.new("1", (20000, 20000)).save(file, "PNG")
    assert len(file.getvalue()) < 200_000
    with pytest.raises(DataError, match=r"(?i)pixels|bomb"):
        decode_picture(file.getvalue(), 32, "squash")


def test_a_message_too_long_is_dropped_with_its_sender(tmp_path: Path) -> None:
    channel = Channel(tmp_path / "s", bind=True, peer="trainer 0", patience_s=20)
    context = zmq.Context()
    stranger = context.socket(zmq.PAIR)
    stranger.linger = 0
    stranger.connect(f"ipc://{tmp_path / 's'}")
    stranger.send(b"x" * (MAX_BYTES + 1))
    assert not channel.ready()
    stranger.send(encode(Fill(0, "train", 1, 2)))
    assert channel.receive(Fill) == Fill(0, "train", 1, 2)
    context.destroy(linger=0)
    channel.close()


def mutations(original: bytes) -> st.SearchStrategy[bytes]:
    """``original`` cut off, with bytes overwritten, or with bytes put in."""

    def change(place: float, patch: bytes, cut: float, insert: bool) -> bytes:
        at = int(place * len(original))
        changed = original[:at] + patch + original[at if insert else at + len(patch) :]
        return changed[: int(cut * len(changed)) + 1]

    unit = st.floats(0, 1)
    return st.builds(change, unit, st.binary(min_size=1, max_size=24), st.one_of(st.just(1.0), unit), st.booleans())


@many
@given(st.one_of(st.binary(max_size=200), mutations(encode(Fill(3, "train", 1, 2)))))
def test_fuzzed_messages(frame: bytes) -> None:
    try:
        assert isinstance(decode(frame), Message.__args__)
    except ProtocolError as error:
        assert "is no message of ours" in str(error)


@cache
def picture(kind: str) -> bytes:
    rng = np.random.default_rng(0)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(file, kind)
    return file.getvalue()


@many
@given(st.one_of(*(mutations(picture(kind)) for kind in ("JPEG", "PNG", "WEBP", "BMP"))))
def test_fuzzed_pictures(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about odd but readable files
        try:
            pixels = decode_picture(data, 24, "squash")
        except DataError as error:
            assert str(error)
        else:
            assert pixels.shape == (24, 24, 3)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "file"


@cache
def batch_file() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5["data"] = np.zeros((4, 6, 6, 3), np.uint8)
        for i in range(9):  # so that its header goes on elsewhere
            h5["data"].attrs[f"attribute {i}"] = i
    return file.getvalue()


@many
@given(mutations(batch_file()))
def test_fuzzed_batch_files(scratch: Path, data: bytes) -> None:
    scratch.write_bytes(data)
    try:
        assert pixel_offset(scratch, (4, 6, 6, 3)) >= 0
    except DataError as error:
        assert str(scratch) in str(error)


STATE = {
    "format": FORMAT,
    "identity": {"model": "m", "n_classes": 1, "img_size": 8, "data_fingerprint": "f"},
    "preparation": {"resize": "crop", "mean": torch.zeros(3, 8, 8), "classes": (("a", "b"),)},
    **{"seed": 1, "epoch": 1, "total_batch_size": 16, "iteration": 0},
    **{"val_record": torch.zeros(1, 2), "parameters": {"w": torch.arange(6.0)}, "velocities": {}},
}


@cache
def saved() -> bytes:
    file = io.BytesIO()
    torch.save(STATE, file)
    return file.getvalue()


@many
@given(mutations(saved()))
def test_fuzzed_checkpoints(scratch: Path, data: bytes) -> None:
    scratch.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert isinstance(load(scratch), Checkpoint)
        except CheckpointError as error:
            assert str(scratch) in str(error)
