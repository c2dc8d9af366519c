import resource
from pathlib import Path

import pytest

from lib.config import Config, DataConfig, ExchangeConfig
from lib.data.data_set import DataSet, numbered_classes
from lib.errors import ResourceError
from lib.limits import allow_many_files, open_files

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


def test_as_many_as_imagenet_takes(limits: list[int]) -> None:
    config = Config(devices=("cpu",) * 4, exchange=ExchangeConfig(method="peer"), batch_size=256)
    allow_many_files(config, IMAGENET)
    assert limits == [4096, 4096]
    assert open_files(config, IMAGENET) == 64 + 4 * 16 + 512 + 196
    limits[:] = [256, 1 << 20]  # all of its files, and room
    allow_many_files(config, IMAGENET)
    assert 0.4 * limits[0] > 5004 + 196


def test_what_is_there_already_stays(limits: list[int]) -> None:
    limits[:] = [20000, 1 << 20]
    allow_many_files(Config(data=DataConfig(dir=Path("d"))), IMAGENET)
    assert limits == [20000, 1 << 20]


def test_too_few_is_an_error_before_anything_starts(limits: list[int]) -> None:
    limits[:] = [128, 128]
    needed = open_files(Config(), IMAGENET)
    with pytest.raises(ResourceError, match=f"may open 128 files here, and this run needs {needed}: raise the limit"):
        allow_many_files(Config(), IMAGENET)
    assert limits == [128, 128]
