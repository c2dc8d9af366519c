"""mixup and cutmix: pairs of images and of labels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from lib.config.schema import AugmentConfig, Config, DataConfig, NormalizeConfig
from lib.data.augment.mixing import draw, mix, mixed_labels, partners
from lib.data.augment.params import draw_params
from lib.data.augment.transform import Transform
from lib.data.order import BatchOrder, shard
from lib.data.plan import Plan
from lib.data.sampler import Sampler
from lib.data.sources.hickle_folder import HICKLE
from lib.errors import ConfigError
from lib.models.losses import MixedLabels, cross_entropy, main_labels, with_auxiliary

CPU = torch.device("cpu")
BOTH = AugmentConfig(mixup=0.5, cutmix=1.0)
SIDE = 12


def drawn(augment: AugmentConfig, count: int = 20_000) -> np.ndarray:
    return draw(count, SIDE, augment, np.random.default_rng(0))


def test_mixed_images_equal_plain_numpy() -> None:
    rng = np.random.default_rng(1)
    images, rows = rng.random((7, 3, SIDE, SIDE), dtype=np.float32), drawn(BOTH, 7).astype(np.float32)
    got = mix(torch.from_numpy(images), torch.from_numpy(rows)).numpy()
    for i, (share, top, left, height, width, _) in enumerate(rows):
        other = images[min(i ^ 1, 6)]
        expected = share * images[i] + (1 - share) * other
        for y, x in np.ndindex(SIDE, SIDE):
            if top <= (y + 0.5) / SIDE < top + height and left <= (x + 0.5) / SIDE < left + width:
                expected[:, y, x] = other[:, y, x]
        np.testing.assert_allclose(got[i], expected, atol=1e-6)
    np.testing.assert_allclose(got[6], images[6], atol=1e-6)  # it has no partner
    assert {bool(row[3]) for row in rows} == {True, False}  # some cut, some mixed up


def test_shares_follow_their_distributions() -> None:
    mixed = drawn(AugmentConfig(mixup=0.4))
    assert not mixed[:, 3:5].any()
    assert mixed[:, 0].mean() == pytest.approx(0.5, abs=0.01)
    assert mixed[:, 0].var() == pytest.approx(0.25 / 1.8, rel=0.03)  # of Beta(a, a): 1 / (4 (2a + 1))
    assert np.array_equal(mixed[:, 5], mixed[:, 0])
    cut = drawn(AugmentConfig(cutmix=1.0))
    corners, sizes = cut[:, 1:3], cut[:, 3:5]
    assert (cut[:, 0] == 1).all()
    assert corners.min() >= 0
    assert (corners + sizes).max() <= 1
    np.testing.assert_allclose(cut[:, 5], 1 - sizes.prod(1))
    whole = ((corners > 0) & (corners + sizes < 1)).all(1)  # those that no border cuts off
    assert np.allclose(sizes[whole, 0], sizes[whole, 1])
    by_turns = drawn(BOTH)
    assert (by_turns[:, 0] == 1).mean() == pytest.approx(0.5, abs=0.02)


def test_the_label_with_the_larger_weight_comes_first() -> None:
    rows = np.zeros((4, 6), np.float32)
    rows[:, 5] = 0.75, 0.25, 0.5, 1.0
    first, second, weight = mixed_labels(torch.tensor([5, 6, 7, 8]), torch.from_numpy(rows))
    assert first.tolist() == [5, 5, 7, 8]
    assert second.tolist() == [6, 6, 8, 7]
    assert weight.tolist() == [0.75, 0.75, 0.5, 1.0]
    assert main_labels(MixedLabels(first, second, weight)) is first


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_mixed_probabilities(smoothing: float) -> None:
    logits, others = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    first, second, weight = torch.tensor([0, 1, 2, 3, 4]), torch.tensor([0, 6, 5, 4, 3]), torch.linspace(0.5, 1, 5)
    labels = MixedLabels(first, second, weight)
    target = torch.zeros(5, 7)
    target[torch.arange(5), first] += weight
    target[torch.arange(5), second] += 1 - weight
    main, auxiliary = (
        functional.cross_entropy(x, target, reduction="sum", label_smoothing=smoothing) for x in (logits, others)
    )
    torch.testing.assert_close(cross_entropy(logits, labels, smoothing), main)
    torch.testing.assert_close(with_auxiliary((logits, others), labels, smoothing), main + 0.3 * auxiliary)


def test_partners_are_never_divided_between_workers() -> None:
    """Also in the last iteration of an epoch, whose images are divided among all."""
    for count, world_size in ((53, 1), (53, 2), (53, 4), (54, 4), (49, 4), (48, 3)):
        batch_size = 48 // world_size
        shards = [
            shard(count, iteration, batch_size=batch_size, rank=rank, world_size=world_size, together=2)
            for iteration in range(-(-count // 48))
            for rank in range(world_size)
        ]
        assert [i for part in shards for i in range(part.start, part.stop)] == list(range(count))
        assert all(part.start % 2 == 0 or part.start == part.stop for part in shards)
        assert max(part.stop - part.start for part in shards) <= batch_size


def test_mixed_images_are_the_same_for_any_number_of_workers(data_set: Path) -> None:
    data = HICKLE.describe(DataConfig(dir=data_set))
    count = data.count("train")
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8))
    labels = torch.arange(count)
    transform = Transform(BOTH, NormalizeConfig(mean="none"), np.zeros((3, 32, 32), np.float32), 28, CPU)

    def epoch(world_size: int) -> list[torch.Tensor]:
        order = BatchOrder(seed=1, batch_size=20 // world_size, world_size=world_size, together=2)
        parts = []
        for rank in range(world_size):
            sampler = Sampler(order, data, labels.numpy(), rank)
            for request in Plan(order, BOTH, data, rank=rank, crop=28).training(0):
                chosen, rows = sampler.indices("train", 0, request.batch), torch.from_numpy(request.params)
                mixed = transform.labels(labels[chosen], rows)
                assert isinstance(mixed, MixedLabels)
                key = torch.stack([torch.from_numpy(chosen), mixed.first_B, mixed.second_B], 1)
                seen = transform(pixels[chosen], rows).flatten(1)
                parts.append(torch.cat([key, mixed.weight_B[:, None], seen], 1))
        everything = torch.cat(parts)
        return list(everything[everything[:, 0].argsort()])

    alone, two, five = epoch(1), epoch(2), epoch(5)
    assert len(alone) == count
    for a, b, c in zip(alone, two, five, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


def test_validation_mixes_nothing() -> None:
    transform = Transform(BOTH, NormalizeConfig(), np.zeros((3, SIDE, SIDE), np.float32), SIDE, CPU)
    labels = torch.tensor([1, 2])
    assert transform.labels(labels, torch.zeros(2, 3, dtype=torch.int16)) is labels
    rows = draw_params(2, img_size=SIDE, crop=SIDE, augment=BOTH, seed=1, epoch=0)
    assert isinstance(transform.labels(labels, torch.from_numpy(rows)), MixedLabels)


def test_an_odd_batch_cannot_be_paired() -> None:
    with pytest.raises(ConfigError, match="batch_size is 5, .*make it even"):
        Config(augment=AugmentConfig(mixup=0.2), batch_size=5)
    assert partners(1, CPU).tolist() == [0]
