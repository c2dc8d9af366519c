"""What YAML may hold, and what it is read as."""

import re
from pathlib import Path

import pytest

from lib.config.yaml_file import read_settings
from lib.errors import ConfigError


def read(tmp_path: Path, content: bytes) -> dict[str, object]:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    return dict(read_settings(path))


def test_keys_are_dotted_and_scalars_stay_text(tmp_path: Path) -> None:
    settings = read(tmp_path, b"a:\n  b: 1e-3\n  c: [no, ~, {d: 0x1}]\ne.f: '~'\ng:\nh: {}\n")
    assert settings == {"a.b": "1e-3", "a.c": ["no", None, {"d": "0x1"}], "e.f": "~", "g": None, "h": {}}


def test_windows_files_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfrun:\r\n  n_epochs: 7\r\n") == {"run.n_epochs": "7"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run:\n  seed: 1\nmodel: {}\nrun:\n  keep: 3\n", "run is set twice, on lines 1 and 4; keep one of them"),
        ("run:\n  seed: 1\n  seed: 2\n", "run.seed is set twice, on lines 2 and 3; keep one of them"),
        ("run: {seed: 1}\nrun.seed: 2\n", "run.seed is set twice, on lines 1 and 2; keep one of them"),
        ("a: [{b: 1, b: 2}]\n", "b is set twice, on lines 1 and 1; keep one of them"),
    ],
)
def test_a_key_that_is_set_twice_is_named_with_its_lines(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"mine.yaml: {message}")):
        read(tmp_path, text.encode())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: &x [1]\nb: *x\n", "aliases (*name) are not supported"),
        (b"a: " + b"[" * 5000, "is not YAML"),
        (b"a: \xff\n", "is not YAML: unacceptable character #x00ff"),
        (b"a: 1\n---\nb: 2\n", "expected a single document"),
        (b"- 1\n", "must hold a mapping of settings"),
    ],
    ids=["alias", "deep", "latin-1", "two documents", "list"],
)
def test_what_cannot_be_settings_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        read(tmp_path, content)
    assert "\n" not in str(error.value)
