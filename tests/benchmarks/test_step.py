"""The benchmark of the step: what its JSON promises, and that the peer computes what we do."""

import json

import pytest
import torch

from benchmarks import step
from benchmarks.harness import Contender, take_turns
from benchmarks.ours import refuse_no_number
from benchmarks.plain import arithmetic, plain_alexnet
from lib.models.registry import model_spec


def test_json_has_what_is_promised(capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["--model", "tiny", "--img_size", "32", "--batch_size", "2", "4", "--iterations", "1", "--rounds", "3"]
    assert step.main([*tiny, "--no-compile", "--json", "--", "--compute.threads", "1"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["benchmark"] == "step"
    assert {"device", "cpu", "cores", "torch"} <= told["machine"].keys()
    assert [row["case"] for row in told["rows"]] == 3 * ["batch 2"] + 3 * ["batch 4"]
    ours, first_peer, *_ = told["rows"]
    assert ours["name"] == "ours, fp32, plain step"
    assert first_peer["ratio"] == 1
    for row in told["rows"]:
        assert row["unit"] == "images/s"
        assert 0 < row["low"] <= row["quartiles"][0] <= row["median"] <= row["quartiles"][1] <= row["high"]
        assert len(row["values"]) == 3
    pairs = zip(ours["values"], first_peer["values"], strict=True)
    assert ours["ratio"] == sorted(mine / theirs for mine, theirs in pairs)[1]


def test_the_plain_network_is_ours_in_torchs_layers() -> None:
    crop, images_BCHW = 67, 255 * torch.rand(2, 3, 67, 67) - 128
    ours, plain = model_spec("alexnet").build(10, crop).eval(), plain_alexnet(10, crop).eval()
    weights = zip(plain.state_dict(), ours.state_dict().values(), strict=True)
    plain.load_state_dict(dict(weights))
    torch.testing.assert_close(plain(images_BCHW), ours(images_BCHW), rtol=1e-4, atol=1e-6)


def test_contenders_take_turns_and_every_other_round_goes_backwards() -> None:
    order: list[str] = []

    def contender(name: str) -> Contender:
        def measure() -> float:
            order.append(name)
            return float(len(order))

        return Contender(name, measure)

    (a, b) = take_turns("", "s", [contender("a"), contender("b")], 3)
    assert "".join(order) == "abbaab"
    assert a.values == (1, 4, 5)
    assert b.values == (2, 3, 6)
    assert a.ratio == 6 / 5  # seconds: less is better


def test_a_peers_arithmetic_is_its_own() -> None:
    before = torch.get_float32_matmul_precision()
    with arithmetic(tf32=True):
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_figures_of_a_network_of_nans_are_refused(loss: float) -> None:
    with pytest.raises(ArithmeticError, match="would mean nothing"):
        refuse_no_number(loss)
