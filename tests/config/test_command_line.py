import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lib.config.command_line import keys, parse, report_errors
from lib.config.schema import Config, ExchangeConfig
from lib.data.sources.registry import SOURCES
from lib.errors import ConfigError
from lib.models.recipes import CAFFE_RESNET, IMAGENET_STD, NIN, TORCHNET
from lib.models.registry import MODELS
from lib.runtime.resolved_config import resolved
from tests.support.scripts import ROOT


def parsed(*argv: str, config: Path = ROOT / "config.yaml", spec: Path = ROOT / "spec_2gpu.yaml") -> Config:
    return parse(argv, description="", config=config, spec=spec)[0]


def yaml_file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_config_then_spec_then_overrides(tmp_path: Path) -> None:
    mine = yaml_file(tmp_path, "optimizer: {learning_rate: 5e-4}\nrun: {n_epochs: 7}\n")
    config = parsed("--config", mine, "--run.n_epochs", "9", "--schedule.steps", "[3, 5]")
    assert config.optimizer.learning_rate == 5e-4  # YAML 1.1 alone would read this as text
    assert (config.run.n_epochs, config.schedule.steps) == (9, (3, 5))
    assert (config.devices, config.batch_size, config.exchange.method) == (("auto", "auto"), 128, "peer")


def test_the_files_at_the_top_hold_the_defaults() -> None:
    assert parsed(spec=ROOT / "spec_1gpu.yaml") == Config()


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_every_spec_trains_on_256_images_an_update(workers: int) -> None:
    config = parsed(spec=ROOT / f"spec_{workers}gpu.yaml")
    assert config.devices == ("auto",) * workers
    assert config.batch_size * config.world_size == 256
    assert config.exchange == ExchangeConfig(method="peer" if workers > 1 else "none")
    assert (config.exchange.averaged, config.exchange.rule, config.exchange.every) == ("gradients", "average", 1)


def test_names_that_scripts_rely_on() -> None:
    assert {
        "data.dir",
        "run.weights_dir",
        "run.n_epochs",
        "run.seed",
        "run.resume",
        "model.name",
        "optimizer.learning_rate",
        "schedule.policy",
        "schedule.steps",
        "devices",
        "batch_size",
        "exchange.method",
    } <= set(keys())


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--optimizer.learnin_rate", "1"], "did you mean --optimizer.learning_rate?"),
        (["--learning_rate", "1"], "did you mean --optimizer.learning_rate?"),
        (["--optimizer.learning_r", "1"], "unknown option --optimizer.learning_r"),  # no silent abbreviation
        (["--optimizer.learning_rate", "big"], "optimizer.learning_rate is big; it must be a number"),
        (["--run.n_epochs", "1.5"], "run.n_epochs is 1.5; it must be a whole number"),
        (
            ["--schedule.policy", "cosin"],
            "schedule.policy is cosin; it must be one of step, auto, regimes, cosine, linear",
        ),
        (["--augment.crop", "rando"], "augment.crop is rando; it must be one of random, center, resized"),
        (["--augment.mirror", "perhaps"], "augment.mirror is perhaps; it must be true or false"),
        (["--devices", "cuda:0"], """devices is cuda:0; it must be a list of texts, e.g. '["cuda:0"]'"""),
        (
            ["--normalize.std", "[1, 2]"],
            "normalize.std is [1, 2]; it must be a list of 3 numbers, e.g. '[58.4, 57.12, 57.38]'",
        ),
        (["--run", "3"], "run is a group of keys; set each by itself, as in --run."),
        (["--run.n_epochs", "null"], "run.n_epochs is null; it must be a whole number"),
        (["config.yaml"], "config.yaml stands alone; did you mean --config config.yaml?"),
        (["alexnet"], "alexnet stands alone; settings are given as --KEY VALUE"),
        (["-b", "32"], "unknown option -b; --help lists every key"),
        (
            ["-batchSize", "128", "-nGPU", "2"],
            "unknown option -batchSize; did you mean --batch_size?; docs/coming_from.md: b",
        ),
        (["--nGPU", "2"], "unknown option --nGPU; docs/coming_from.md: --spec spec_4gpu.yaml"),
        (["--schedule.policy", "regimes"], "schedule.regimes is empty"),
        (["--schedule.regimes", "[{first_epoch: 2, rate: 1, decay: 1}]"], "begin with epochs [2]; begin with 1"),
        (
            ["--schedule.regimes", "[{first_epoch: 1, rate: 1}]"],
            "schedule.regimes: decay is missing; it must be a list",
        ),
        (["--schedule.regimes", "[{first_epoch: 1, rat: 1}]"], "schedule.regimes: there is no rat; it must be a list"),
        (["--optimizer.label_smoothing", "1"], "must lie in [0, 1)"),
        (["--optimizer.accumulate", "0"], "optimizer.accumulate is 0; it must be at least 1"),
        (["--model.name", "resnet51"], "did you mean resnet50? known networks: alexnet, alexnet_towers,"),
        (["--batch_size", "0"], "batch_size is 0; it must be at least 1"),
        (["--optimizer.momentum", "1"], "must lie in [0, 1)"),
        (["--schedule.steps", "[40, 20]"], "in rising order"),
        (["--exchange.method", "none"], "would train apart"),
        (["--devices", "[]"], "devices is empty"),
        (["--exchange.every", "0"], "exchange.every is 0; it must be at least 1"),
        (["--exchange.every", "2", "--exchange.what", "gradients"], "exchange.what is gradients, but with"),
        (["--exchange.rule", "elastic", "--exchange.what", "momentum"], "exchange.what is momentum, but with"),
        (["--exchange.rule", "elastic", "--exchange.alpha", "1.5"], "exchange.alpha is 1.5; it must lie in [0, 1]"),
        (["--exchange.rule", "elastic", "--exchange.alpha", "0.6"], "beyond the mean of 2 replicas"),
        (["--exchange.alpha", "0.4"], "only exchange.rule elastic has a moving rate"),
        (["--config", "nowhere.yaml"], "cannot read nowhere.yaml"),
        (["--config"], "expected one argument"),
    ],
)
def test_a_wrong_argument_is_named(argv: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        parsed(*argv)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("optimizer: {learnin_rate: 1}", "unknown key optimizer.learnin_rate; did you mean optimizer.learning_rate?"),
        ("learning_rate: 1", "did you mean optimizer.learning_rate?"),
        ("run: {n_epochs: many}", "mine.yaml: run.n_epochs is many; it must be a whole number"),
        ("run: {n_epochs: 0}", "mine.yaml: run.n_epochs is 0; it must be at least 1"),
        ("gpu: cuda0", 'mine.yaml: unknown key gpu; docs/coming_from.md: devices: ["cuda:0"]'),
        ("[1, 2]", "must hold a mapping"),
        ("run: {", "is not YAML"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        parsed("--config", yaml_file(tmp_path, text))


def test_what_is_typed_is_no_fault_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="^run.n_epochs is 0"):
        parsed("--config", yaml_file(tmp_path, "run: {n_epochs: 3}"), "--run.n_epochs", "0")


def test_help_lists_every_key_with_default_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--help")
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for key in keys():
        assert f"--{key} " in text
    assert not re.search(r"class '|tuple\[|Optional|Literal|'auto',\)", text)
    assert "share of the last velocity that is kept; 0 for plain gradient descent (type: float, default: 0.9)" in text


def test_print_config_can_be_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--model.name", "nin_bn", "--run.n_epochs", "9", "--devices", "[cpu, cpu]", "--print_config")
    printed = yaml_file(tmp_path, capsys.readouterr().out)
    again = parsed("--config", printed, "--spec", printed)
    assert (again.run.n_epochs, again.devices) == (9, ("cpu", "cpu"))
    assert again.schedule == NIN.schedule


def test_a_recipe_lies_under_what_is_asked_for(tmp_path: Path) -> None:
    config = parsed("--model.name", "resnet50")
    assert (config.optimizer, config.schedule) == (CAFFE_RESNET.optimizer, CAFFE_RESNET.schedule)
    assert config.run.n_epochs == 80
    mine = yaml_file(tmp_path, "model: {name: nin_bn}\noptimizer: {weight_decay: 0}\nschedule: {warmup_epochs: 2}\n")
    config = parsed("--config", mine, "--optimizer.learning_rate", "0.3")
    assert config.optimizer == replace(NIN.optimizer, weight_decay=0.0, learning_rate=0.3)
    assert config.schedule == replace(NIN.schedule, warmup_epochs=2.0)


def test_a_recipe_brings_the_views_of_its_source(tmp_path: Path) -> None:
    assert parsed("--model.name", "resnet18").normalize == CAFFE_RESNET.normalize
    assert parsed("--model.name", "alexnet_bn").augment == TORCHNET.augment
    assert (TORCHNET.augment.color_jitter, TORCHNET.normalize.std) == (0.4, IMAGENET_STD)
    mine = yaml_file(tmp_path, "model: {name: nin_bn}\naugment: {mirror: false}\n")
    config = parsed("--config", mine, "--normalize.std", "null")
    assert config.augment == replace(NIN.augment, mirror=False)
    assert config.normalize == replace(NIN.normalize, std=None)


@pytest.mark.parametrize(
    ("argv", "world_size", "rate"),
    [
        ([], None, 0.02),
        (["--batch_size", "32", "--optimizer.accumulate", "2"], None, 0.01),
        (["--exchange.method", "collective"], "8", 0.08),
        (["--optimizer.learning_rate", "0.04"], None, 0.04),
        (["--model.name", "nin_bn"], None, 0.1),
    ],
    ids=str,
)
def test_a_rate_goes_with_the_images_an_update_where_its_source_says_so(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], world_size: str | None, rate: float
) -> None:
    """Two workers of 128 images; under torchrun as many as it started. The source has 0.04 for 512."""
    if world_size:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
        monkeypatch.setenv("WORLD_SIZE", world_size)
    config = parsed("--model.name", "squeezenet_v1_1", *argv)
    assert config.optimizer.learning_rate == pytest.approx(rate)


def test_the_resolved_configuration_says_what_becomes_of_such_a_rate() -> None:
    text = resolved(parsed("--model.name", "squeezenet_v1_1"))
    assert ", for 512 images an update (here 256: its rate 0.04 becomes 0.02).\n" in text
    assert "  learning_rate: 0.02  # the recipe's\n" in text


def test_the_resolved_configuration_says_what_is_the_recipes_and_can_be_read_back(tmp_path: Path) -> None:
    config = parsed("--model.name", "squeezenet", "--optimizer.learning_rate", "0.02", "--devices", "[cpu, cpu]")
    text = resolved(config)
    assert "  learning_rate: 0.02  # the recipe has 0.01\n" in text
    assert "  momentum: 0.9  # the recipe's\n" in text
    assert "  name: squeezenet\n" in text
    again = yaml_file(tmp_path, text)
    assert parsed("--config", again, "--spec", again) == config


def test_help_shows_the_recipe_of_the_network_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--model.name", "resnet50", "--help")
    assert (
        "train until this many epochs are done, those before a resume counted in (type: int, default: 80)"
        in " ".join(capsys.readouterr().out.split())
    )


def test_list_models_shows_every_network_and_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--list_models")
    assert ended.value.code == 0
    networks, _, recipes = capsys.readouterr().out.partition("\n\n")
    lines = networks.splitlines()
    assert lines[0].split() == ["name", "parameters", "crop", "min", "crop", "kernels", "recipe", "source"]
    assert [line.split()[0] for line in lines[1:]] == list(MODELS)
    assert (
        "googlenet_bn           19,147,888   224        47                2  soumith's imagenet-multiGPU.torch" in lines
    )
    told = (
        "recipe 2: 55 epochs of 128 images an update, rate 0.01, regimes; soumith's imagenet-multiGPU.torch, train.lua"
    )
    assert told in recipes
    assert len(recipes.splitlines()) == len({spec.recipe.source for spec in MODELS.values()})
    assert [line.split()[0] for line in lines if " own " in line] == [name for name in MODELS if MODELS[name].fused]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("--model.name alexnet_o", {"alexnet_owt", "alexnet_owt_bn"}),
        ("--model.init ", {"default", "kaiming", "xavier"}),
        ("--data.source ", set(SOURCES)),
        ("--dry", {"--dry_run "}),
        ("--optimizer.le", {"--optimizer.learning_rate "}),
    ],
)
def test_a_shell_completes_keys_and_values(tmp_path: Path, typed: str, offered: set[str]) -> None:
    """As argcomplete's shell function asks; 9 is the tabulator."""
    pytest.importorskip("argcomplete")
    line = f"python train.py {typed}"
    asked = {
        **{"_ARGCOMPLETE": "2", "_ARGCOMPLETE_SHELL": "bash", "COMP_TYPE": "9", "_ARGCOMPLETE_IFS": "\n"},
        **{"COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "out")},
    }
    done = subprocess.run([sys.executable, ROOT / "train.py"], env=os.environ | asked, timeout=60, check=False)
    assert done.returncode == 0
    assert set((tmp_path / "out").read_text().split("\n")) == offered


def test_ctrl_c_before_there_are_processes_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise KeyboardInterrupt

    assert report_errors(main) == 130
    assert capsys.readouterr().err == "stopped\n"
