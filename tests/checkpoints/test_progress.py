"""Tests of ``Progress``."""

import pytest

from lib.checkpoints.progress import Progress


@pytest.mark.parametrize(
    ("errors", "improved"),
    [([], False), ([0.5], True), ([0.5, 0.4], True), ([0.4, 0.5], False), ([0.5, 0.5], False)],
)
def test_only_a_lower_error_is_an_improvement(errors: list[float], improved: bool) -> None:
    progress = Progress(val_record=[(error, 1.0) for error in errors])
    assert (progress.improved, progress.is_best) == (improved, improved)
    progress.iteration = 3
    assert not progress.is_best
