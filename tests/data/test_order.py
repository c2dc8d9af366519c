import numpy as np
import pytest

from lib.data.dataset import DataSet, numbered_classes
from lib.data.order import BatchOrder, Shuffle, WorkerOrder, epoch_order, n_iterations, shard, worker_order
from lib.data.sampler import Sampler, class_uniform

COUNTS = (16, 16, 16, 5)
SHUFFLES: tuple[Shuffle, ...] = ("images", "files", "none")


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize("batch_size", [1, 4, 7, 53])
def test_no_image_is_missing_or_seen_twice(shuffle: Shuffle, world_size: int, batch_size: int) -> None:
    seen = []
    for rank in range(world_size):
        worker = WorkerOrder(
            file_counts=COUNTS, seed=3, shuffle=shuffle, batch_size=batch_size, rank=rank, world_size=world_size
        )
        for iteration in range(worker.iterations):
            indices = worker.indices(5, iteration)
            assert len(indices) <= batch_size
            seen.extend(indices.tolist())
    assert sorted(seen) == list(range(53))


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_the_same_images_in_an_iteration_for_any_number_of_workers(shuffle: Shuffle) -> None:
    """8 x 1, 4 x 2, 2 x 4, 1 x 8: a run may change between them at a checkpoint."""

    def iterations(batch_size: int, world_size: int) -> list[list[int]]:
        workers = [
            WorkerOrder(
                file_counts=COUNTS, seed=3, shuffle=shuffle, batch_size=batch_size, rank=r, world_size=world_size
            )
            for r in range(world_size)
        ]
        return [np.concatenate([w.indices(2, i) for w in workers]).tolist() for i in range(workers[0].iterations)]

    assert iterations(8, 1) == iterations(4, 2) == iterations(2, 4) == iterations(1, 8)


def test_the_last_iteration_is_divided_evenly() -> None:
    sizes = [shard(53, 3, batch_size=8, rank=r, world_size=2) for r in range(2)]
    assert [part.stop - part.start for part in sizes] == [2, 3]
    assert n_iterations(53, batch_size=8, world_size=2) == 4


def test_each_epoch_and_seed_has_its_own_order() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return list(map(int, epoch_order(COUNTS, seed=seed, epoch=epoch, shuffle="images")))

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in range(5)}) == 10


def test_overfitted_batches_are_those_of_the_first_epoch_again() -> None:
    repeated, anew = (
        WorkerOrder(
            file_counts=COUNTS, seed=1, shuffle="images", batch_size=4, rank=0, world_size=1, limit=1, repeats=repeats
        )
        for repeats in (True, False)
    )
    first = anew.indices(0, 0).tolist()
    assert [repeated.indices(epoch, 0).tolist() for epoch in range(4)] == [first] * 4
    assert anew.indices(1, 0).tolist() != first


def test_shuffled_files_keep_their_own_order() -> None:
    order = epoch_order(COUNTS, seed=1, epoch=1, shuffle="files")
    starts = {0: 16, 16: 16, 32: 16, 48: 5}
    first, pieces = 0, []
    while first < len(order):
        count = starts[int(order[first])]
        assert np.array_equal(order[first : first + count], np.arange(order[first], order[first] + count))
        pieces.append(int(order[first]))
        first += count
    assert sorted(pieces) == [0, 16, 32, 48]
    assert pieces != [0, 16, 32, 48]


def test_none_is_the_order_on_disk() -> None:
    assert epoch_order(COUNTS, seed=1, epoch=9, shuffle="none").tolist() == list(range(53))


LABELS = np.array([0] * 40 + [1] * 8 + [3] * 5)


def test_class_uniform_draws_classes_and_their_images_uniformly() -> None:
    drawn = class_uniform(LABELS, 90_000, seed=1, epoch=0)
    classes = np.bincount(LABELS[drawn])
    assert classes[2] == 0  # it has no image
    assert np.abs(classes[[0, 1, 3]] / 30_000 - 1).max() < 0.03
    images = np.bincount(drawn, minlength=53)
    assert np.abs(images[48:] / 6_000 - 1).max() < 0.06
    assert np.abs(images[:40] / 750 - 1).max() < 0.2


def test_class_uniform_depends_on_seed_and_epoch_alone() -> None:
    def draw(seed: int, epoch: int) -> bytes:
        return class_uniform(LABELS, 100, seed=seed, epoch=epoch).tobytes()

    assert draw(1, 1) == draw(1, 1)
    assert len({draw(1, 1), draw(2, 1), draw(1, 2)}) == 3


@pytest.mark.parametrize("epoch_size", [0, 7])
def test_class_uniform_gives_any_number_of_workers_the_same_images(epoch_size: int) -> None:
    data = DataSet(
        where="", img_size=8, train_counts=(53,), val_counts=(9,), classes=numbered_classes(4), fingerprint=""
    )

    def iterations(batch_size: int, world_size: int) -> list[list[int]]:
        order = BatchOrder(
            seed=1, batch_size=batch_size, world_size=world_size, sampling="class_uniform", epoch_size=epoch_size
        )
        samplers = [Sampler(order, data, LABELS, rank) for rank in range(world_size)]
        assert all(len(sampler.indices("train", 2, 0)) == batch_size for sampler in samplers)
        iterations = worker_order(order, data, "train", 0).iterations
        return [np.concatenate([s.indices("train", 2, i) for s in samplers]).tolist() for i in range(iterations)]

    assert iterations(8, 1) == iterations(4, 2) == iterations(2, 4) == iterations(1, 8)
    assert len(iterations(8, 1)) == 7
    assert sum(map(len, iterations(8, 1))) == (56 if epoch_size else 53)
