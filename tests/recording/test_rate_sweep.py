"""The rate that a sweep suggests, and when it ends."""

from pathlib import Path

import numpy as np
from PIL import Image

from lib.recording.rate_sweep import STEPS, Sweep, has_diverged, sweep_rates


def sweep(noise: float, fall: float = 1.0) -> Sweep:
    """Return losses that fall by ``fall`` around a rate of 0.01 and rise from 0.3 on."""
    rates = sweep_rates()
    losses = 2.3 - fall / (1 + (0.01 / rates) ** 1.5) + np.maximum(0, rates - 0.3)
    return Sweep(rates, losses + np.random.default_rng(0).normal(0, noise, STEPS))


def test_rates_rise_by_the_same_factor() -> None:
    rates = sweep_rates()
    assert len(rates) == STEPS
    assert np.allclose(rates[1:] / rates[:-1], rates[1] / rates[0])


def test_the_steepest_descent_is_suggested_and_noise_or_smoothing_do_not_move_it() -> None:
    for noise in (0.0, 0.05):
        suggestion = sweep(noise).suggestion
        assert suggestion is not None
        assert 0.006 < suggestion < 0.017
    assert "use --optimizer.learning_rate 0.0" in sweep(0.05).describe(0.5)


def test_a_loss_that_only_has_noise_suggests_nothing() -> None:
    assert sweep(0.05, fall=0.0).suggestion is None
    assert sweep(0.05, fall=0.0).describe(0.5).endswith("the configured rate is 0.5")
    assert Sweep(sweep_rates()[:1], np.array([2.3])).suggestion is None


def test_a_sweep_ends_where_the_loss_diverges() -> None:
    assert not has_diverged([2.3, 2.0, 7.9])
    assert has_diverged([2.3, 2.0, 8.1])
    assert has_diverged([2.3, float("nan")])


def test_the_picture_is_written(tmp_path: Path) -> None:
    for number, losses in enumerate((sweep(0.05), sweep(0.05, fall=0.0), Sweep(sweep_rates()[:2], np.ones(2)))):
        losses.draw(tmp_path / f"{number}.png", 0.01)
        with Image.open(tmp_path / f"{number}.png") as picture:
            assert picture.width > 500
