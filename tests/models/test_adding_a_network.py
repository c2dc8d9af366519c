"""The worked example of docs/adding_a_network.md: it fits the program as it is, and it trains."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from tests.support.pages import blocks
from tests.support.scripts import ROOT
from tests.support.worked_example import apply_example, run_python

PAGE = ROOT / "docs/adding_a_network.md"
OPTIONS = (
    *("--data.source", "synthetic", "--data.img_size", "36", "--model.name", "two_layers", "--batch_size", "8"),
    *("--devices", "[cpu]", "--run.n_epochs", "1", "--run.limit_batches", "3", "--compute.threads", "1"),
    *("--logging.report", "false", "--logging.tensorboard", "false"),
)


def test_the_example_has_at_most_60_lines_and_its_entry_is_true(tmp_path: Path) -> None:
    assert apply_example(PAGE, tmp_path) <= 60
    code = (
        "import torch; from lib.models.registry import model_spec; spec = model_spec('two_layers');"
        "assert sum(p.numel() for p in spec.build(1000, spec.crop).parameters()) == spec.parameters;"
        "assert spec.build(5, spec.min_crop)(torch.zeros(2, 3, spec.min_crop, spec.min_crop)).shape == (2, 5)"
    )
    run_python(tmp_path, "-c", code)
    run_python(tmp_path, "train.py", *OPTIONS)
    assert "two_layers" in (tmp_path / "models/config.yaml").read_text()


@pytest.mark.filterwarnings("error")
def test_the_network_of_the_example_learns() -> None:
    namespace: dict[str, type[torch.nn.Module]] = {}
    exec(blocks(PAGE, "python")[0], namespace)
    torch.manual_seed(0)
    network = namespace["TwoLayers"](5, 57)
    images, labels = 255 * torch.rand(8, 3, 57, 57) - 128, torch.arange(8) % 5
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        loss = functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
