"""Nothing from outside is executed, and the parsers answer any input with a result or an error of lib.errors.

Hypothesis gives damaged and random bytes to the parsers of messages, manifests, batch files, checkpoints and images.
None of them may crash, hang, exceed a memory limit or raise another exception.
"""

import ast
import gzip
import io
import os
import pickle
import resource
import tracemalloc
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import h5py
import msgspec
import numpy as np
import pytest
import torch
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lib.checkpoints.checkpoint import FORMAT, Checkpoint, load
from lib.config.schema import DataConfig
from lib.data.images.decode import decode as decode_picture
from lib.data.packed.batch_file import open_batch_file
from lib.data.packed.checks import check_data
from lib.data.packed.layout import Layout
from lib.data.packed.manifest import read_manifest
from lib.data.packed.reader import HickleBatches
from lib.data.sources.mnist import MNIST
from lib.errors import CheckpointError, DataError, ProtocolError
from lib.ipc.channel import MAX_BYTES, Channel
from lib.ipc.messages import Fill, Message, decode, encode
from lib.packing.offsets import locate_pixels
from lib.types import SPLITS
from tests.support.data_files import write_mnist
from tests.support.data_sets import write_data_set
from tests.support.scripts import ROOT

PRODUCT = [*(ROOT / "lib").rglob("*.py"), *(ROOT / "preprocessing").rglob("*.py"), *ROOT.glob("*.py")]
# Importing these is not allowed at all.
FORBIDDEN_MODULES = {"pickle", "_pickle", "cloudpickle", "dill", "jsonpickle", "joblib", "marshal", "shelve"}
FORBIDDEN = {
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.Loader", "yaml.UnsafeLoader"),
    *("hickle.load", "hkl.load", "torch.jit.load", "eval", "exec", "os.system", "builtins.eval", "builtins.exec"),
}
# The argument that makes a call safe.
DEMANDED = {"torch.load": ("weights_only", True), "numpy.load": ("allow_pickle", False)}
BOMB_BYTES = 50 << 20
MEMORY_BYTES = 2 << 30  # the largest allowed image takes 341 MiB decoded, and is copied a few times
many = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def dangers(source: str) -> list[str]:
    """Return each call or import that may execute what it reads, with its line, whatever its alias."""
    nodes, imported = list(ast.walk(ast.parse(source))), dict[str, str]()
    found = list[str]()
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            above = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            imported |= {name.asname or name.name: above + name.name for name in node.names}
            names = [above + name.name for name in node.names]
            found += [f"{node.lineno} {n}" for n in names if n in FORBIDDEN or n.split(".")[0] in FORBIDDEN_MODULES]

    def full_name(node: ast.expr) -> str:
        first, dot, rest = ast.unparse(node).partition(".")
        return imported.get(first, first) + dot + rest

    for node in nodes:
        if isinstance(node, ast.Name | ast.Attribute) and full_name(node) in FORBIDDEN:
            found.append(f"{node.lineno} {full_name(node)}")
        if isinstance(node, ast.Call):
            name = full_name(node.func)
            keywords = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
            unsafe = name in DEMANDED and keywords.get(DEMANDED[name][0]) is not DEMANDED[name][1]
            if unsafe or keywords.get("shell") or name.endswith((".extractall", ".extract")):
                found.append(f"{node.lineno} {name}")
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "from pickle import Unpickler as U",
        "import _pickle as harmless",
        "def f():\n    from marshal import loads",
        "import yaml as y\ny.load(text, y.SafeLoader)",
        "from yaml import unsafe_load as safe_load",
        "from hickle import load",
        "import hickle as h\nf = h.load",
        "eval(text)",
        "from os import system",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "from numpy import load\nload(path)",
        "subprocess.run(text, shell=True)",
        "tar.extractall(folder)",
    ],
)
def test_the_scan_finds_dangerous_calls(source: str) -> None:
    assert dangers(source)


def test_the_program_executes_nothing_that_it_reads() -> None:
    assert not [f"{path}:{danger}" for path in PRODUCT for danger in dangers(path.read_text())]
    sources = " ".join(path.read_text() for path in PRODUCT)
    assert "torch.load(" in sources and "np.load(" in sources  # the test scans the right files


class Bomb:
    """Writes a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return (open, ("unpickled", "w"))


def test_a_pickle_in_a_checkpoint_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "bomb": Bomb()}, "zip.pt")
    Path("plain.pt").write_bytes(pickle.dumps(Bomb()))
    for name in ("zip.pt", "plain.pt"):
        with pytest.raises(CheckpointError, match="is damaged or not a checkpoint"):
            load(Path(name))
    assert not Path("unpickled").exists()


def test_a_pickle_in_a_batch_file_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hickle stores unknown objects as pickles. Neither packing nor training looks at them."""
    monkeypatch.chdir(tmp_path)
    at = write_data_set(tmp_path / "data", train=16, val=4)
    path, manifest = at.batch_file("train", 16, 0), read_manifest(at)
    with h5py.File(path, "r+") as file:
        file["data"].attrs["type"] = np.void(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match="is damaged|where the manifest says"):
        open_batch_file(path, manifest.train.files[0])
    offset, header_crc32 = locate_pixels(path, (16, 32, 32, 3))
    file_entry = msgspec.structs.replace(
        manifest.train.files[0], bytes=path.stat().st_size, offset=offset, header_crc32=header_crc32
    )
    manifest = manifest.with_files({"train": (file_entry,), "val": manifest.val.files})
    source, out = HickleBatches(at, manifest, "train", readers=1), np.zeros((16, 32, 32, 3), np.uint8)
    source.read(np.arange(16), out)
    source.close()
    assert out.any()
    assert not Path("unpickled").exists()


def test_a_decompression_bomb_of_an_image_is_refused() -> None:
    """A few kilobytes would become 400 megapixels."""
    file = io.BytesIO()
    Image.new("1", (20000, 20000)).save(file, "PNG")
    assert len(file.getvalue()) < 200_000
    with pytest.raises(DataError, match=r"(?i)pixels|bomb"):
        decode_picture(file.getvalue(), 32, "squash")


def test_a_message_that_is_too_long_disconnects_its_sender(tmp_path: Path) -> None:
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


def test_a_gzip_bomb_of_mnist_is_unpacked_no_further_than_its_header(tmp_path: Path) -> None:
    """One kilobyte becomes one megabyte."""
    write_mnist(tmp_path / "mnist")
    path = tmp_path / "mnist/train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(BOMB_BYTES)))
    assert path.stat().st_size < BOMB_BYTES / 500
    tracemalloc.start()
    with pytest.raises(DataError, match="but has more"):
        MNIST.describe(DataConfig(source="mnist", dir=tmp_path / "mnist"))
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most_bytes < BOMB_BYTES / 10


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Limit the memory of this process, so that a parser that allocates too much fails."""
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY_BYTES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def assert_ours(error: Exception, says: str) -> None:
    """Check that ``error`` is one of ours, and not about memory."""
    assert says in str(error)
    assert not isinstance(error.__context__, MemoryError) and "memory" not in str(error).lower()


def mutations(original: bytes) -> st.SearchStrategy[bytes]:
    """Return ``original`` truncated, with bytes overwritten, or with bytes inserted."""

    def change(place: float, patch: bytes, cut: float, insert: bool) -> bytes:
        at = int(place * len(original))
        changed = original[:at] + patch + original[at if insert else at + len(patch) :]
        return changed[: int(cut * len(changed)) + 1]

    unit = st.floats(0, 1)
    return st.builds(change, unit, st.binary(min_size=1, max_size=24), st.one_of(st.just(1.0), unit), st.booleans())


@many
@given(st.one_of(st.binary(max_size=200), mutations(encode(Fill(3, "train", 1, 2)))))
def test_fuzzed_messages_are_decoded_or_refused(little_memory: None, frame: bytes) -> None:
    try:
        assert isinstance(decode(frame), Message.__args__)
    except ProtocolError as error:
        assert_ours(error, "is not a valid message")


@cache
def picture(kind: str) -> bytes:
    rng = np.random.default_rng(0)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(file, kind)
    return file.getvalue()


@many
@given(st.one_of(*(mutations(picture(kind)) for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"))))
def test_fuzzed_images_are_decoded_or_refused(little_memory: None, data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about odd but readable files
        try:
            pixels = decode_picture(data, 24, "squash")
        except DataError as error:
            assert_ours(error, "it ")
        else:
            assert pixels.shape == (24, 24, 3)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "file"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return write_data_set(tmp_path_factory.mktemp("packed") / "data", train=16, val=4)


@many
@given(st.data())
def test_fuzzed_batch_files_are_refused_unless_their_headers_are_whole(
    little_memory: None, packed: Layout, scratch: Path, data: st.DataObject
) -> None:
    file = read_manifest(packed).train.files[0]
    content = packed.batch_file("train", 16, 0).read_bytes()
    fuzzed = data.draw(mutations(content))
    scratch.write_bytes(fuzzed)
    try:
        os.close(open_batch_file(scratch, file))
    except DataError as error:
        assert_ours(error, str(scratch))
    else:
        assert (len(fuzzed), fuzzed[: file.offset]) == (len(content), content[: file.offset])


@many
@given(st.data())
def test_fuzzed_manifests_are_read_or_refused(little_memory: None, packed: Layout, data: st.DataObject) -> None:
    """Without its checksum, which would refuse every change."""
    manifest = read_manifest(packed)
    content = msgspec.json.encode(msgspec.structs.replace(manifest, crc32=msgspec.UNSET))
    try:
        packed.manifest.write_bytes(data.draw(mutations(content)))
        fuzzed = read_manifest(packed)
        check_data(packed, fuzzed)
        for split in SPLITS:
            for file in fuzzed.split(split).files:
                assert 0 < file.offset < file.offset + file.count * fuzzed.img_size**2 * 3 <= file.bytes
    except DataError as error:
        assert_ours(error, str(packed.dir))
    finally:
        packed.manifest.write_bytes(msgspec.json.encode(manifest))


STATE = {
    "format": FORMAT,
    "identity": {"model": "m", "n_classes": 1, "img_size": 8, "data_fingerprint": "f"},
    "preparation": {"resize": "crop", "mean": torch.zeros(3, 8, 8), "classes": (("a", "b"),)},
    **{"seed": 1, "epoch": 1, "total_batch_size": 16, "iteration": 0},
    **{"val_record": torch.zeros(1, 2), "parameters": {"w": torch.arange(6.0)}, "momentum": {}},
}


@cache
def saved() -> bytes:
    file = io.BytesIO()
    torch.save(STATE, file)
    return file.getvalue()


@many
@given(mutations(saved()))
def test_fuzzed_checkpoints_are_loaded_or_refused(little_memory: None, scratch: Path, data: bytes) -> None:
    scratch.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert isinstance(load(scratch), Checkpoint)
        except CheckpointError as error:
            assert_ours(error, str(scratch))
