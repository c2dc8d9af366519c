"""Tests of ``Progress``."""

import pytest

from lib.checkpoints.progress import Progress
from lib.config.schema import RunConfig


@pytest.mark.parametrize(
    ("errors", "improved"),
    [([], False), ([0.5], True), ([0.5, 0.4], True), ([0.4, 0.5], False), ([0.5, 0.5], False)],
)
def test_only_a_lower_error_is_an_improvement(errors: list[float], improved: bool) -> None:
    progress = Progress(val_record=[(error, 1.0) for error in errors])
    assert (progress.improved, progress.is_best) == (improved, improved)
    progress.iteration = 3
    assert not progress.is_best


@pytest.mark.parametrize(
    ("errors", "since"), [([], 0), ([0.5], 0), ([0.5, 0.4], 0), ([0.4, 0.5], 1), ([0.4, 0.4, 0.4], 2)]
)
def test_epochs_are_counted_since_the_first_of_the_lowest_errors(errors: list[float], since: int) -> None:
    progress = Progress(epoch=len(errors), val_record=[(error, 1.0) for error in errors])
    assert progress.epochs_since_best == since
    assert not progress.is_done(RunConfig(n_epochs=9, stop_after=since + 1))
    if since:
        assert progress.is_done(RunConfig(n_epochs=9, stop_after=since))
        assert "raise run.stop_after" in progress.reason_done(RunConfig(n_epochs=9, stop_after=since))
