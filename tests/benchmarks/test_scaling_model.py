"""The model of many GPUs agrees with the measurements, and docs/scaling.md with the model."""

import json
from dataclasses import replace

import pytest

from benchmarks import scaling_model
from benchmarks.scaling_model import MEASURED, Constants, Measured, compared, main, predict, split_efficiency, table
from lib.exchange import base
from tests.support.scripts import ROOT

COUNTS = (1, 2, 4, 8, 64, 1024)


@pytest.mark.parametrize("measured", MEASURED, ids=lambda measured: str(measured.workers))
def test_the_model_agrees_with_the_measurements_within_6_percent(measured: Measured) -> None:
    assert predict(Constants(), measured.workers).images_s == pytest.approx(measured.images_s, rel=0.06)


def test_averaging_weights_on_two_workers_agrees_with_its_measurement() -> None:
    """105,361 images/s beside 55,181 of one worker, with data on the devices (docs/performance.md)."""
    one, two = (predict(Constants(), workers, "weights").images_s for workers in (1, 2))
    assert two / one == pytest.approx(105_361 / 55_181, rel=0.03)


def test_averaging_weights_moves_what_the_exchange_moves() -> None:
    """Up to four workers copy all gradients of the others; more move momentum, twice the bytes."""
    for workers in (2, 4):
        moved = predict(Constants(), workers, "weights").moved_mb
        assert moved == pytest.approx((workers - 1) * (Constants().early_mb + Constants().late_mb))
    for workers in (8, 64):
        weights, gradients = (predict(Constants(), workers, what) for what in ("weights", "gradients"))
        assert weights.moved_mb == pytest.approx(2 * gradients.moved_mb)
        assert weights.network_mb == pytest.approx(2 * gradients.network_mb)
        assert weights.step > gradients.step


def test_the_model_knows_up_to_how_many_workers_gather() -> None:
    assert scaling_model._MAX_GATHERED == base.MAX_GATHERED


def test_the_page_shows_the_tables_of_the_model() -> None:
    page = (ROOT / "docs/scaling.md").read_text()
    tables = [table([predict(Constants(), n, what) for n in COUNTS], Constants()) for what in ("gradients", "weights")]
    for line in (*tables[0], *tables[1], *compared(Constants())):
        assert line in page, "python -m benchmarks.scaling_model prints the tables of docs/scaling.md"


def test_a_split_classifier_is_predicted_within_one_machine() -> None:
    assert split_efficiency(Constants(), 1) == 1
    assert split_efficiency(Constants(), 16) is None
    two, slow = (split_efficiency(replace(Constants(), link_gb_s=speed), 2) for speed in (365.0, 20.0))
    assert two is not None
    assert slow is not None
    assert two > 1 > slow


def test_slow_links_are_named_and_not_hidden() -> None:
    slow = predict(replace(Constants(), link_gb_s=50.0), 8)
    assert slow.limit == "the links"
    assert slow.step > Constants().step_ms + slow.early - slow.room


def test_scaling_json_has_the_promised_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "--workers", "8", "16", "--network_gbit_s", "100"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["constants"]["network_gbit_s"] == 100
    assert [row["workers"] for row in result["rows"]] == [8, 16]
    assert result["rows"][0]["network_mb"] == 0 < result["rows"][1]["network_mb"]


def test_a_partly_used_machine_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--workers", "12"])
    assert "12 does not fill machines of 8 GPUs" in capsys.readouterr().err
