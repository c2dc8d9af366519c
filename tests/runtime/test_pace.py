"""Slow work is not taken for silence: the first of its kind, and work that was slow before."""

from types import SimpleNamespace
from typing import Any

import pytest

from lib.runtime.pace import Pace


def test_the_first_may_take_ten_times_as_long_and_the_others_follow_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, allowed = 0.0, []
    monkeypatch.setattr("time.monotonic", lambda: now)
    client: Any = SimpleNamespace(heartbeat=lambda doing, patience_s: allowed.append(patience_s))
    pace = Pace(client, patience_s=60)
    for seconds in (300, 90, 30, 1, 1):  # compiling, then a large batch on a busy CPU, then a free one
        with pace.work("training"):
            now += seconds
    assert allowed == [600, 600, 360, 120, 60]
