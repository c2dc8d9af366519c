"""The number of readers or decoders where it is auto: where it starts, and how it follows what the trainer waits."""

from collections.abc import Callable

import pytest

from lib.config.schema import DataConfig
from lib.data import worker_count
from lib.data.worker_count import AdaptiveCount, adaptive_count, with_counts


def counts_over(start: int, most: int, share: Callable[[int], float], windows: int = 60) -> list[int]:
    """Return the numbers that are used while a trainer waits for ``share(number)`` of its time."""
    count, waited_s, used = AdaptiveCount(start, most), 0.5, []
    for second in range(windows):
        count.observe(1.01 * second, waited_s)
        used.append(count.value)
        waited_s += 1.01 * share(count.value)
    return used


@pytest.mark.parametrize("start", [1, 2, 6, 16])
def test_it_ends_near_the_number_with_the_least_waiting(start: int) -> None:
    used = counts_over(start, 16, lambda count: 0.02 + 0.03 * abs(count - 7))
    assert all(4 <= count <= 10 for count in used[20:])
    assert 7 in used[20:]


def test_it_stays_where_the_trainer_does_not_wait() -> None:
    assert set(counts_over(6, 16, lambda count: 0.005)) == {6}
    used = counts_over(2, 16, lambda count: 0.2 if count < 5 else 0.0)
    assert used[-1] == 5
    assert used[10:] == [5] * 50


@pytest.mark.parametrize(("start", "most"), [(1, 1), (1, 2), (16, 16)])
def test_it_keeps_within_its_bounds(start: int, most: int) -> None:
    assert set(counts_over(start, most, lambda count: 0.5)) <= set(range(1, most + 1))


def test_the_wait_for_the_first_batch_does_not_count() -> None:
    count = AdaptiveCount(4, 16)
    assert not any(count.observe(second, 0.0) for second in range(10))  # the trainer compiles
    assert not any(count.observe(10 + second / 2, 9.0) for second in range(10))  # it has waited nine seconds before
    assert count.observe(16, 10.0)


def test_it_starts_with_the_cores_of_each_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, loaders, readers, decoders in ((1, 4, 1, 1), (2, 1, 2, 2), (32, 2, 6, 16), (512, 1, 6, 32)):
        monkeypatch.setattr(worker_count, "usable_cores", lambda cores=cores: cores)
        counts = with_counts(DataConfig(), loaders)
        assert (counts.readers, counts.decoders) == (readers, decoders)
        assert with_counts(DataConfig(readers=9, decoders=0), loaders) == DataConfig(readers=9, decoders=0)


def test_a_number_that_is_given_is_kept() -> None:
    data = DataConfig(readers=3)
    for kind, changes in (("readers", False), ("decoders", True)):
        count = adaptive_count(data, with_counts(data, 1), kind)  # type: ignore[arg-type]
        assert any(count.observe(second, 0.9 * second) for second in range(1, 10)) == changes
