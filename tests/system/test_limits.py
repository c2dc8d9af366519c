import resource

import msgspec
import pytest

from lib.config.schema import Config, ExchangeConfig
from lib.data.dataset import DataSet, numbered_classes
from lib.errors import ResourceError
from lib.system.limits import allow_many_files, open_files

IMAGENET = DataSet(
    where="imagenet",
    img_size=256,
    train_counts=(256,) * 5004,
    val_counts=(256,) * 196,
    classes=numbered_classes(1000),
    fingerprint="f",
)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Soft and hard limit of open files, as this process has them."""
    now = [256, 4096]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(now))

    def change(_: int, new: tuple[int, int]) -> None:
        now[:] = new

    monkeypatch.setattr(resource, "setrlimit", change)
    return now


def test_all_files_at_once_where_they_may_be(limits: list[int]) -> None:
    config = Config(devices=("cpu",) * 4, exchange=ExchangeConfig(method="peer"), batch_size=256)
    limits[1] = 1_000_000
    allow_many_files(config, IMAGENET)
    assert 0.4 * limits[0] > 5004


def test_else_as_many_as_may_be(limits: list[int]) -> None:
    allow_many_files(Config(), IMAGENET)
    assert limits == [4096, 4096]


def test_what_a_batch_takes_is_needed_or_what_there_is() -> None:
    assert open_files(Config(batch_size=256), IMAGENET) == 64 + 16 + 2 * 256
    assert open_files(Config(batch_size=8), IMAGENET) == 5 * (64 + 16)
    small = msgspec.structs.replace(IMAGENET, train_counts=(16,) * 3, val_counts=(16, 4))
    assert open_files(Config(), small) == 64 + 16 + 5


def test_what_is_there_already_stays(limits: list[int]) -> None:
    limits[:] = [100_000, 1_000_000]
    allow_many_files(Config(), IMAGENET)
    assert limits == [100_000, 1_000_000]


def test_too_few_is_an_error_before_anything_starts(limits: list[int]) -> None:
    limits[:] = [128, 128]
    needed = open_files(Config(), IMAGENET)
    with pytest.raises(ResourceError, match=f"may open 128 files here, and this run needs {needed}: raise the limit"):
        allow_many_files(Config(), IMAGENET)
    assert limits == [128, 128]
