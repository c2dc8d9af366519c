from dataclasses import fields
from pathlib import Path

import pytest

from lib.errors import ConfigError
from lib.packing import settings
from lib.packing.settings import Settings, parse_settings
from tests.support.scripts import ROOT


def parse(*arguments: str) -> Settings:
    return parse_settings("x", "y", arguments, ROOT)


def test_paths_yaml_holds_the_defaults() -> None:
    settings = parse()
    assert settings == Settings(tar_root_dir=ROOT / "data")
    assert settings.layout.misc == ROOT / "data" / "misc"
    assert (settings.limit("train"), settings.limit("val")) == (None, None)


def test_options_override_the_file_with_dashes_and_underscores(tmp_path: Path) -> None:
    paths = tmp_path / "paths.yaml"
    paths.write_text("img_size: 64\nresize: crop\nmax_skipped: 5e-3\ntrain_img_dir: images\nmisc_dir: m\n")
    settings = parse("--paths", str(paths), "--img-size", "32", "--val_img_dir=here", "--strict", "--seed=3")
    assert (settings.img_size, settings.resize, settings.max_skipped) == (32, "crop", 0.005)
    assert settings.train_img_dir == ROOT / "images"  # in the file: relative to the project
    assert settings.val_img_dir == Path.cwd() / "here"  # on the command line: relative to the working directory
    assert settings.layout.misc == ROOT / "data" / "m"
    assert (settings.strict, settings.toy, settings.seed) == (True, False, 3)
    assert parse("--strict", "false").strict is False
    assert parse("--tar_root_dir", "~/x").tar_root_dir == Path.home() / "x"


def test_without_a_clone_no_file_is_read_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_settings("x", "y", []) == Settings(tar_root_dir=tmp_path / "data")
    Path("p.yaml").write_text("train_img_dir: images\n")
    assert parse_settings("x", "y", ["--paths", "p.yaml"]).train_img_dir == tmp_path / "images"


def test_the_toy_data_set_has_its_own_limits() -> None:
    drawn = parse("--toy", "--tar-root-dir", "/t")
    assert drawn.source("val") == Path("/t/toy_images/val")
    assert (drawn.limit("train"), drawn.limit("val")) == (2560, 640)
    real = parse("--toy", "--train_img_dir", "/a", "--val_img_dir", "/b")
    assert real.drawn_dir is None
    assert (real.limit("train"), real.limit("val")) == (2560, 2560)
    assert parse("--toy", "--train-images", "7").limit("train") == 7


def test_few_images_start_few_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "usable_cores", lambda: 32)
    assert [Settings().n_workers(images) for images in (0, 499, 2_000, 1_000_000)] == [1, 1, 8, 32]
    assert Settings(workers=5).n_workers(0) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--img_sice", "3"], "unknown option --img_sice; did you mean img_size?"),
        (["--train-img-dri", "3"], "did you mean train_img_dir?"),
        (["--img_size", "big"], "img_size"),
        (["--img_size"], "option --img_size needs a value"),
        (["--img_size", "--strict"], "option --img_size needs a value"),
        (["--img_size", "0"], "img_size is 0; it must be at least 1"),
        (["--workers=-1"], "workers is -1"),
        (["--max_skipped", "3"], "max_skipped is 3; it must lie in [0, 1]"),
        (["--resize", "stretch"], "stretch"),
        (["images"], "'images' is not an option"),
        (["--paths", "/nowhere/paths.yaml"], "cannot read /nowhere/paths.yaml"),
    ],
)
def test_bad_options_are_named_in_one_line(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(*arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("img_sice: 3", "p.yaml: unknown key img_sice; did you mean img_size"),
        ("img_size: big", "p.yaml: img_size is big; it must be a whole number"),
        ("img_size: 3\nimg_size: 4", "p.yaml: img_size is set twice, on lines 1 and 2"),
        ("- a list", "must hold a mapping of settings"),
        ("a: [", "is not YAML"),
        ("img_size: !!python/object/apply:os.getcwd []", "img_size is \\[\\]; it must be a whole number"),
    ],
)
def test_a_bad_file_is_named_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        parse("--paths", str(tmp_path / "p.yaml"))
    assert "\n" not in str(error.value)


def test_every_key_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse("--help")
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for field in fields(Settings):
        assert f"--{field.name}" in text
    assert "Side of the square images" in text
