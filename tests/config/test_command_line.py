"""What files and arguments become, and what their mistakes are answered with."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lib.commands.configuration import parse_config
from lib.config.field_type import field_types
from lib.config.load import load_config
from lib.config.schema import Config, ExchangeConfig
from lib.data.sources.registry import SOURCES
from lib.errors import ConfigError
from lib.models.recipes import CAFFE_RESNET, IMAGENET_STD, NIN, TORCHNET
from lib.models.registry import MODELS, model_spec
from tests.support.scripts import ROOT

KEYS = field_types(Config)


def parsed(*argv: str, spec: Path = ROOT / "spec_2gpu.yaml") -> Config:
    return parse_config(argv, description="", spec=spec)[0]


def yaml_file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_arguments_override_files(tmp_path: Path) -> None:
    mine = yaml_file(tmp_path, "optimizer: {learning_rate: 5e-4}\nrun: {n_epochs: 7}\n")
    config = parsed("--config", mine, "--run.n_epochs", "9", "--schedule.steps=[3, 5]", "--run.resume=never")
    assert config.optimizer.learning_rate == 5e-4  # YAML 1.1 alone would read this as text
    assert (config.run.n_epochs, config.schedule.steps, config.run.resume) == (9, (3, 5), "never")
    assert (config.devices, config.batch_size, config.exchange.method) == (("auto", "auto"), 128, "peer")


def test_a_named_file_overrides_one_that_is_read_by_default(tmp_path: Path) -> None:
    mine = yaml_file(tmp_path, "devices: [cpu]\nexchange: {method: none}\n")
    assert parsed("--config", mine).devices == ("cpu",)
    assert parsed("--config", mine, "--spec", str(ROOT / "spec_4gpu.yaml")).devices == ("auto",) * 4


def test_the_files_at_the_top_hold_the_defaults() -> None:
    assert parsed(spec=ROOT / "spec_1gpu.yaml") == Config()


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_every_spec_trains_on_256_images_per_update(workers: int) -> None:
    config = parsed(spec=ROOT / f"spec_{workers}gpu.yaml")
    assert config.devices == ("auto",) * workers
    assert config.batch_size * config.world_size == 256
    assert config.exchange == ExchangeConfig(method="peer" if workers > 1 else "none")
    assert (config.exchange.what, config.exchange.rule, config.exchange.every) == ("weights", "average", 1)


def test_keys_that_scripts_rely_on_exist() -> None:
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
    } <= KEYS.keys()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--optimizer.learnin_rate", "1"], "did you mean --optimizer.learning_rate?"),
        (["--learning_rate", "1"], "did you mean --optimizer.learning_rate?"),
        (["--optimizer.learning_r", "1"], "unknown option --optimizer.learning_r"),  # no silent abbreviation
        (["--optimizer.lr", "1"], "unknown option --optimizer.lr; did you mean --optimizer.learning_rate?"),
        (["--lr=1"], "unknown option --lr; did you mean --optimizer.learning_rate?"),
        (["--bs", "32"], "unknown option --bs; did you mean --batch_size?"),
        (["--gpus", "2"], "unknown option --gpus; use --spec spec_2gpu.yaml, or devices: [auto, auto] with"),
        (["--model", "resnet50"], "unknown option --model; did you mean --model.name?"),
        (["--opt", "adamw"], "unknown option --opt; did you mean --optimizer.name?"),
        (["--optimizer.type", "adamw"], "did you mean --optimizer.name?"),
        (["--fp16"], "unknown option --fp16; did you mean --compute.precision?"),
        (["--scheduler", "cosine"], "did you mean --schedule.policy?"),
        (["--local_rank", "0"], "use torchrun with exchange.method: collective"),
        (["--epochs", "3"], "unknown option --epochs; did you mean --run.n_epochs?"),
        (["--run", "3"], "run is a group of keys; set each by itself, as in --run."),
        (["config.yaml"], "config.yaml stands alone; did you mean --config config.yaml?"),
        (["batch_size=8"], "batch_size=8 stands alone; settings are given as --KEY VALUE; give it as --batch_size 8"),
        (["epochs=100"], "settings are given as --KEY VALUE; did you mean --run.n_epochs?"),
        (["--trainer.max_epochs", "9"], "did you mean --run.n_epochs?"),
        (["--nc=10"], "unknown option --nc; not needed here: classes are counted"),
        (["alexnet"], "alexnet stands alone; settings are given as --KEY VALUE"),
        (["-b", "32"], "unknown option -b; did you mean --batch_size?"),
        (["-batchSize", "128", "-nGPU", "2"], "unknown option -batchSize; use batch_size, which is per worker (docs/"),
        (["--nGPU", "2"], "unknown option --nGPU; use --spec spec_4gpu.yaml (docs/coming_from.md)"),
        (["--nonsense", "2"], "unknown option --nonsense; --help all lists every key"),
        (["--config", "nowhere.yaml"], "cannot read nowhere.yaml"),
        (["--config"], "expected one argument"),
    ],
)
def test_a_wrong_option_is_named_with_the_right_one(argv: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        parsed(*argv)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("optimizer.learning_rate", "big", "optimizer.learning_rate is big; it must be a number"),
        ("run.n_epochs", "1.5", "run.n_epochs is 1.5; it must be a whole number"),
        ("run.n_epochs", "null", "run.n_epochs is null; it must be a whole number"),
        ("run.n_epochs", "0", "run.n_epochs is 0; it must be at least 1"),
        ("run.n_epochs", "4294967296", "run.n_epochs is 4294967296; it must be at most 2147483647"),
        ("schedule.policy", "cosin", "schedule.policy is cosin; it must be one of step, auto, regimes, cosine, "),
        ("augment.crop", "rando", "augment.crop is rando; it must be one of random, center, resized"),
        ("augment.mirror", "perhaps", "augment.mirror is perhaps; it must be true or false"),
        ("devices", "cuda:0", """devices is cuda:0; it must be a list of texts, e.g. '["cuda:0"]'"""),
        ("devices", "cuda:0", "; for this: --devices '[cuda:0]'"),
        ("devices", "0", "; for this: --devices '[cuda:0]'"),
        ("compute.compile", "true", "one of auto, always, never; true is now called always"),
        ("compute.compile", "false", "one of auto, always, never; false is now called never"),
        ("devices", "2", "devices is 2; it must be a list of texts, e.g. "),
        ("devices", "2", "; for 2 workers: --devices '[auto, auto]' --exchange.method peer"),
        ("devices", "[]", "devices is empty"),
        ("normalize.std", "[1, 2]", "normalize.std is [1, 2]; it must be a list of 3 numbers, e.g. '[58.4, 57.12"),
        ("normalize.std", "[1, 2", "normalize.std is [1, 2; it must be a list of 3 numbers"),
        ("schedule.policy", "regimes", "schedule.regimes is empty"),
        ("schedule.regimes", "[{first_epoch: 2, rate: 1, decay: 1}]", "begin with epochs [2]; begin with 1"),
        (
            "schedule.regimes",
            "[{first_epoch: 1, rate: 1}]",
            "schedule.regimes: {first_epoch: 1, rate: 1} is no mapping with the",
        ),
        ("schedule.regimes", "[{first_epoch: 1, rat: 1}]", " is no mapping with the keys first_epoch, rate, decay"),
        (
            "schedule.regimes",
            "[{first_epoch: x, rate: 1, decay: 1}]",
            "schedule.regimes: first_epoch is x; it must be a whole number",
        ),
        ("schedule.regimes", "[3]", "schedule.regimes: 3 is no mapping with the keys first_epoch, rate, decay"),
        ("schedule.regimes", "[{first_epoch: 1, rate: -1, decay: 1}]", "schedule.regimes: rate is -1; it must be at"),
        ("schedule.steps", "[40, 20]", "in rising order"),
        ("schedule.steps", "[0, 20]", "schedule.steps is 0; it must be at least 1"),
        ("optimizer.label_smoothing", "1", "optimizer.label_smoothing is 1; it must lie in [0, 1)"),
        ("optimizer.accumulate", "0", "optimizer.accumulate is 0; it must be at least 1"),
        ("optimizer.momentum", "1", "optimizer.momentum is 1; it must lie in [0, 1)"),
        ("model.name", "resnet51", "did you mean resnet50? known networks: alexnet, caffenet,"),
        ("batch_size", "0", "batch_size is 0; it must be at least 1"),
        ("data.readers", "many", "data.readers is many; it must be a whole number or auto"),
        ("data.readers", "0", "data.readers is 0; it must be at least 1"),
        ("exchange.method", "none", "would train apart"),
        ("exchange.every", "0", "exchange.every is 0; it must be at least 1"),
        ("exchange.alpha", "1.5", "exchange.alpha is 1.5; it must lie in [0, 1]"),
        ("exchange.alpha", "0.4", "only exchange.rule elastic has a moving rate"),
        ("run.weights_dir", "", "run.weights_dir is empty; it must be a path"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_must_be(tmp_path: Path, key: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        parsed(f"--{key}", value)
    if value:
        section, _, name = key.rpartition(".")
        text = f"{section}:\n  {name}: {value}" if section else f"{name}: {value}"
        with pytest.raises(ConfigError, match=r"mine.yaml"):
            parsed("--config", yaml_file(tmp_path, text))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--exchange.every", "2", "--exchange.what", "gradients"], "exchange.what is gradients, but with"),
        (["--exchange.rule", "elastic", "--exchange.what", "gradients"], "exchange.what is gradients, but with"),
        (["--exchange.rule", "elastic", "--exchange.alpha", "0.6"], "beyond the mean of 2 replicas"),
        (["--optimizer.nesterov", "true", "--optimizer.momentum", "0"], "set optimizer.momentum above 0"),
        (["--data.epoch_size", "9"], "set data.sampling to class_uniform or data.epoch_size to 0"),
    ],
)
def test_values_that_exclude_each_other_are_named(argv: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        parsed(*argv)


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", ".NaN", "inf", "nan"])
@pytest.mark.parametrize("key", [key for key, kind in KEYS.items() if kind.base is float])
def test_every_number_must_be_finite(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} is -?(inf|nan); it must be finite$"):
        parsed(f"--{key}={value}")


def test_numbers_in_lists_must_be_finite() -> None:
    with pytest.raises(ConfigError, match=r"normalize.std is inf; it must be finite"):
        parsed("--normalize.std", "[.inf, 1, 1]")


@pytest.mark.parametrize("value", [str(2**63), str(2**64), str(10**400), "-1"])
@pytest.mark.parametrize("key", [key for key, kind in KEYS.items() if kind.base is int])
def test_every_whole_number_has_bounds(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} is {value}; it must "):
        parsed(f"--{key}", value)


@pytest.mark.parametrize(
    ("old", "value", "new"),
    [
        *((f"views.{name}", "1", f"augment.{name}") for name in ("crop", "mirror", "per_image", "color_jitter")),
        ("views.pca_lighting", "0", "augment.pca_lighting"),
        ("views.mean", "image", "normalize.mean"),
        ("views.std", "null", "normalize.std"),
        ("run.rewinds", "3", "run.rollbacks"),
        ("run.on_nan", "rewind", "rollback"),
        ("exchange.what", "velocities", "weights"),
    ],
)
def test_an_old_name_is_refused_with_the_new_one(tmp_path: Path, old: str, value: str, new: str) -> None:
    with pytest.raises(ConfigError, match=f"{old}.* is now called {new}$"):
        parsed(f"--{old}", value)
    section, _, name = old.rpartition(".")
    with pytest.raises(ConfigError, match=f"mine.yaml: .*{old}.* is now called {new}$"):
        parsed("--config", yaml_file(tmp_path, f"{section}: {{{name}: {value}}}"))
    assert new in KEYS or parsed(f"--{old}", new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimizer: {learnin_rate: 1}", "unknown key optimizer.learnin_rate; did you mean optimizer.learning_rate?"),
        ("learning_rate: 1", "did you mean optimizer.learning_rate?"),
        ("run: {n_epochs: many}", "mine.yaml: run.n_epochs is many; it must be a whole number"),
        ("run: {n_epochs: 0}", "mine.yaml: run.n_epochs is 0; it must be at least 1"),
        ("gpu: cuda0", 'mine.yaml: unknown key gpu; use devices: ["cuda:0"] (docs/coming_from.md)'),
        ("views:", "mine.yaml: unknown key views; it is now called augment.* and normalize.*"),
        ("run: 3", "mine.yaml: unknown key run; run is a group of keys; set each by itself, as in run."),
        ("batch_size: {a: 3}", "mine.yaml: unknown key batch_size.a; did you mean batch_size?"),
        ("model: {name: resnet51}", "mine.yaml: model.name is resnet51; did you mean resnet50?"),
        ("[1, 2]", "must hold a mapping"),
        ("run: {", "is not YAML"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        parsed("--config", yaml_file(tmp_path, text))


def test_an_error_in_an_argument_names_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="^run.n_epochs is 0"):
        parsed("--config", yaml_file(tmp_path, "run: {n_epochs: 3}"), "--run.n_epochs", "0")


def test_an_empty_section_keeps_its_defaults(tmp_path: Path) -> None:
    mine = yaml_file(tmp_path, "run:\n  # n_epochs: 7\ndata: {}\noptimizer:\n  learning_rate: 0.5\n")
    config = parsed("--config", mine)
    assert (config.run, config.data, config.optimizer.learning_rate) == (Config().run, Config().data, 0.5)
    assert parsed("--config", yaml_file(tmp_path, "")).run == Config().run


def test_values_follow_the_type_of_their_key(tmp_path: Path) -> None:
    mine = yaml_file(
        tmp_path,
        "run:\n  weights_dir: 2024-05-01\n  seed: 010\noptimizer:\n  learning_rate: 1e-3\n  nesterov: yes\n"
        "model:\n  weights: null\n  freeze: [no, 1]\n",
    )
    config = parsed("--config", mine)
    assert (config.run.weights_dir, config.run.seed) == (Path("2024-05-01"), 10)
    assert (config.optimizer.learning_rate, config.optimizer.nesterov) == (0.001, True)
    assert (config.model.weights, config.model.freeze) == (None, ("no", "1"))
    assert (config.data.readers, parsed("--data.readers", "3", "--data.decoders", "auto").data.readers) == ("auto", 3)


@pytest.mark.parametrize("key", ["run.weights_dir", "run.resume", "data.dir", "data.misc_dir", "model.weights"])
def test_a_tilde_is_the_home_folder_in_every_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    section, _, name = key.partition(".")
    mine = yaml_file(tmp_path, f"{section}:\n  {name}: ~/x\n")
    for config in (parsed(f"--{key}=~/x"), parsed("--config", mine)):
        assert str(getattr(getattr(config, section), name)) == "/home/someone/x"


def test_every_path_is_tried_above() -> None:
    paths = [key for key, kind in KEYS.items() if kind.base is Path or (kind.metadata and kind.base is str)]
    assert sorted(paths) == ["data.dir", "data.misc_dir", "model.weights", "run.resume", "run.weights_dir"]


def test_help_lists_every_key_with_default_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--help", "all")
    assert not ended.value.code
    text = " ".join(capsys.readouterr().out.split())
    for key in KEYS:
        assert f"--{key} " in text
    assert not re.search(r"class '|tuple\[|Optional|Literal|'auto',\)|None", text)
    assert "momentum coefficient; 0: plain gradient descent (type: float, default: 0.9)" in text
    assert "2 to 33 % of the area" in text


def test_help_shows_the_recipe_of_the_network(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--model.name", "resnet50", "--help", "run")
    assert (
        "number of epochs of the whole training, including those before a resume (type: int, default: 80)"
        in " ".join(capsys.readouterr().out.split())
    )


def test_a_printed_configuration_gives_the_same_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--model.name", "nin_bn", "--run.n_epochs", "9", "--devices", "[cpu, cpu, cpu]", "--data.dir", "2024-05-01"]
    argv += [
        "--optimizer.learning_rate",
        "1e-7",
        "--normalize.std",
        "null",
        "--run.resume",
        "null",
        "--batch_size",
        "3",
    ]
    with pytest.raises(SystemExit):
        parsed(*argv, "--print_config")
    printed = yaml_file(tmp_path, capsys.readouterr().out)
    config = parsed(*argv)
    assert parsed("--config", printed) == parsed("--config", printed, spec=ROOT / "spec_8gpu.yaml") == config
    assert load_config(Path(printed)) == config
    assert config.schedule == NIN.schedule


def test_a_recipe_lies_below_files_and_arguments(tmp_path: Path) -> None:
    config = parsed("--model.name", "resnet50")
    assert (config.optimizer, config.schedule) == (CAFFE_RESNET.optimizer, CAFFE_RESNET.schedule)
    assert config.run.n_epochs == 80
    mine = yaml_file(tmp_path, "model: {name: nin_bn}\noptimizer: {weight_decay: 0}\nschedule: {warmup_epochs: 2}\n")
    config = parsed("--config", mine, "--optimizer.learning_rate", "0.3")
    assert config.optimizer == replace(NIN.optimizer, weight_decay=0.0, learning_rate=0.3)
    assert config.schedule == replace(NIN.schedule, warmup_epochs=2.0)


def test_a_network_for_small_images_brings_their_size() -> None:
    names = ("alexnet", "resnet20_cifar", "lenet")
    assert [parsed("--model.name", name).data.img_size for name in names] == [256, 32, 28]
    assert parsed("--model.name", "lenet", "--data.img_size", "64").data.img_size == 64


def test_published_data_sets_have_their_size_with_every_network_and_digits_are_not_mirrored(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").touch()
    digits = ("--data.dir", str(tmp_path))
    found = [parsed(*digits, "--model.name", name) for name in ("lenet", "tiny", "alexnet")]
    assert [(config.data.img_size, config.augment.mirror) for config in found] == [
        (28, False),
        (28, False),
        (76, False),
    ]
    assert model_spec("alexnet").min_img_size == 76
    given = parsed(*digits, "--data.img_size", "32", "--augment.mirror", "true")
    assert (given.data.img_size, given.augment.mirror) == (32, True)
    cifar = parsed("--data.source", "cifar10", "--model.name", "tiny")
    assert (cifar.data.img_size, cifar.augment.mirror) == (32, True)


def test_a_recipe_brings_augmentation_and_normalization(tmp_path: Path) -> None:
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
def test_a_learning_rate_scales_with_the_images_per_update_where_its_source_says_so(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], world_size: str | None, rate: float
) -> None:
    """Two workers of 128 images; under torchrun as many as it started. The source has 0.04 for 512."""
    if world_size:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
        monkeypatch.setenv("WORLD_SIZE", world_size)
    config = parsed("--model.name", "squeezenet_v1_1", *argv)
    assert config.optimizer.learning_rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("argv", "optimizer", "epochs"),
    [
        (["alexnet"], "sgd", 60),
        (["alexnet", "--model.recipe", "modern"], "adamw", 20),
        (["resnet50", "--model.recipe", "modern"], "radam", 20),
        (["resnet50_d"], "radam", 20),
        (["resnet50_d", "--model.recipe", "classic"], "sgd", 120),
        (["resnet50_d", "--optimizer.name", "adamw"], "adamw", 20),
    ],
)
def test_a_network_has_a_classic_and_a_modern_recipe(argv: list[str], optimizer: str, epochs: int) -> None:
    config = parsed("--model.name", *argv)
    assert (config.optimizer.name, config.run.n_epochs) == (optimizer, epochs)
    assert config.normalize == MODELS[argv[0]].recipe.normalize


def test_list_models_prints_networks_and_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--list_models")
    assert not ended.value.code
    networks, _, recipes = capsys.readouterr().out.partition("\n\n")
    lines = networks.splitlines()
    assert lines[0].split() == ["name", "parameters", "crop", "min", "crop", "kernels", "classic", "modern", "source"]
    assert [line.split()[0] for line in lines[1:]] == list(MODELS)
    rows = [line.split()[:7] for line in lines]
    assert ["googlenet_bn", "19,147,888", "224", "47", "4*", "5", "soumith's"] in rows
    assert ["resnet18_d", "11,708,744", "224", "32", "9", "5*", "timm's"] in rows
    assert len({line.index("  soumith's") for line in lines if "  soumith's" in line}) == 1  # columns are aligned
    assert "recipe 4: 55 epochs of 128 images per update, sgd, rate 0.01, regimes; soumith's imagenet-mult" in recipes
    assert "recipe 5: 20 epochs of 64 images per update, radam, rate 0.008, flat_cosine; RAdam with Look" in recipes
    both = [recipe.source for spec in MODELS.values() for recipe in (spec.recipe, spec.modern)]
    assert len(recipes.splitlines()) == len(set(both))
    assert [line.split()[0] for line in lines if " own " in line] == [name for name in MODELS if MODELS[name].fused]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("--model.name alexnet_o", {"alexnet_owt", "alexnet_owt_bn"}),
        ("--model.init ", {"default", "kaiming", "xavier"}),
        ("--data.source ", {"auto", *SOURCES}),
        ("--dry", {"--dry_run "}),
        ("--optimizer.le", {"--optimizer.learning_rate "}),
    ],
)
def test_a_shell_completes_keys_and_values(tmp_path: Path, typed: str, offered: set[str]) -> None:
    """Ask as argcomplete's shell function does; 9 is the tabulator."""
    pytest.importorskip("argcomplete")
    line = f"python train.py {typed}"
    environment = {
        **{"_ARGCOMPLETE": "2", "_ARGCOMPLETE_SHELL": "bash", "COMP_TYPE": "9", "_ARGCOMPLETE_IFS": "\n"},
        **{"COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "out")},
    }
    done = subprocess.run([sys.executable, ROOT / "train.py"], env=os.environ | environment, timeout=60, check=False)
    assert done.returncode == 0
    assert set((tmp_path / "out").read_text().split("\n")) == offered
