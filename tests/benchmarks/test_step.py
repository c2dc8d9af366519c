"""Tests of the benchmark of the step: its JSON, and that the peer computes the same function."""

import json

import pytest
import torch

from benchmarks import step
from benchmarks.harness import Contender, take_turns
from benchmarks.ours import check_finite
from benchmarks.plain import arithmetic, plain_alexnet
from lib.models.registry import model_spec


def test_the_json_has_all_keys_and_consistent_figures(capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["--model", "tiny", "--img_size", "32", "--batch_size", "2", "4", "--iterations", "1", "--rounds", "3"]
    assert step.main([*tiny, "--no-compile", "--json", "--", "--compute.threads", "1"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["benchmark"] == "step"
    assert {"device", "cpu", "cores", "torch"} <= result["machine"].keys()
    assert [row["case"] for row in result["rows"]] == 3 * ["tiny, batch 2"] + 3 * ["tiny, batch 4"]
    ours, *peers = result["rows"][:3]
    strongest = max(peers, key=lambda row: row["median"])
    assert ours["name"] == "ours, fp32"
    assert strongest["ratio"] == 1
    for row in result["rows"]:
        assert row["unit"] == "images/s"
        assert 0 < row["low"] <= row["quartiles"][0] <= row["median"] <= row["quartiles"][1] <= row["high"]
        assert len(row["values"]) == 3
    pairs = zip(ours["values"], strongest["values"], strict=True)
    assert ours["ratio"] == sorted(mine / theirs for mine, theirs in pairs)[1]


def test_the_peer_computes_the_same_function_as_alexnet() -> None:
    crop, images_BCHW = 67, 255 * torch.rand(2, 3, 67, 67) - 128
    ours, plain = model_spec("alexnet").build(10, crop).eval(), plain_alexnet(10, crop).eval()
    weights = zip(plain.state_dict(), ours.state_dict().values(), strict=True)
    plain.load_state_dict(dict(weights))
    torch.testing.assert_close(plain(images_BCHW), ours(images_BCHW), rtol=1e-4, atol=1e-6)


def test_contenders_take_turns_in_reverse_order_every_other_round() -> None:
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
    assert a.ratio == 6 / 5  # fewer seconds are better


def test_the_arithmetic_of_a_peer_is_restored() -> None:
    before = torch.get_float32_matmul_precision()
    with arithmetic(tf32=True):
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_nan_or_infinite_loss_is_refused(loss: float) -> None:
    with pytest.raises(ArithmeticError, match="its speed means nothing"):
        check_finite(loss)
