"""Recipes and fine-tuning in real runs of the real scripts."""

from pathlib import Path

import pytest
import torch

from tests.support.data_sets import write_data_set
from tests.support.runs import final_tensors
from tests.support.scripts import ONE_WORKER, TWO_WORKERS, Script

CHECKPOINT = "models/checkpoints/epoch004_iter00000.pt"


def test_fine_tuning_for_other_classes_with_frozen_features(tmp_path: Path, one_run: Path, run_script: Script) -> None:
    write_data_set(tmp_path / "other", n_classes=3)
    tuned = run_script(
        "train_2gpu.py",
        *(*TWO_WORKERS, "--data.dir", "other", "--run.weights_dir", "tuned", "--optimizer.decayed", "all"),
        *("--model.weights", CHECKPOINT, "--model.freeze", "[features]"),
    )
    assert tuned.returncode == 0, tuned.stderr
    last = "classifier.2.weight, classifier.2.bias"
    assert f"weights:  {CHECKPOINT}, all but {last}, which are new: 3 classes here, 4 there" in tuned.stdout
    before, after = final_tensors(one_run / "models"), final_tensors(tmp_path / "tuned")
    features = [name for name in before if name.startswith("parameters.features")]
    assert features
    assert all(torch.equal(before[name], after[name]) for name in features)
    assert not any(name.startswith("momentum.features") for name in after)
    assert float(after["momentum.classifier.2.weight"].abs().sum()) > 0


def test_a_run_reports_its_differences_from_the_recipe(one_run: Path) -> None:
    out = (one_run / "stdout").read_text()
    assert (
        "recipe:   theano_alexnet, config.yaml, for 256 images per update (here 8); run.n_epochs 4 instead of 60" in out
    )
    assert "run:      models, 4 epochs of 6 iterations (a lower batch_size makes more), seed " in out
    assert "  n_epochs: 4  # the recipe has 60\n" in (one_run / "models/config.yaml").read_text()


def test_a_network_with_auxiliary_heads_and_norms_trains_on_two_workers(tmp_path: Path, run_script: Script) -> None:
    """With 17 images the last batch has one image for one worker and none for the other."""
    write_data_set(tmp_path / "data", train=17, val=5, img_size=56)
    done = run_script("train_2gpu.py", *TWO_WORKERS, "--model.name", "googlenet_bn", "--run.n_epochs", 1)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--model.weights", "gone.pt"], "there are no weights at gone.pt"),
        (
            ["--model.freeze", "[body]"],
            "model.freeze: body is no part of this network; its parts are features, pool, class",
        ),
        (["--optimizer.accumulate", 9], "optimizer.accumulate 9 makes 72 images an update, but data has 48 training"),
    ],
    ids=str,
)
def test_settings_that_contradict_a_recipe_are_refused(
    data_set: Path, run_here: Script, options: list[object], says: str
) -> None:
    done = run_here("train.py", *ONE_WORKER, *options)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
