from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from lib.config.schema import AugmentConfig, DataConfig
from lib.data.order import BatchOrder
from lib.data.plan import BatchRequest, Plan
from lib.data.sources.hickle_folder import HICKLE

ORDER = BatchOrder(seed=1, n_epochs=3, batch_size=10, world_size=2)


def plan(folder: Path, rank: int = 0, *, per_image: bool = True) -> Plan:
    data = HICKLE.describe(DataConfig(dir=folder))
    return Plan(ORDER, AugmentConfig(per_image=per_image), data, rank=rank, crop=28)


def place(request: BatchRequest) -> tuple[str, int, int, int]:
    return request.phase, request.epoch, request.batch, request.count


def test_a_run_is_epochs_of_training_and_validation(data_set: Path) -> None:
    requests = [place(request) for request in plan(data_set).run(1, 0)]
    epoch = [("train", 0, 10), ("train", 1, 10), ("train", 2, 4), ("val", 0, 10)]
    assert requests == [(split, e, batch, count) for e in (1, 2) for split, batch, count in epoch]


def test_a_resumed_run_has_the_batches_of_an_uninterrupted_one(data_set: Path) -> None:
    whole = list(plan(data_set, rank=1).run(0, 0))
    for done in range(1, 8):
        start = whole[done]
        # A checkpoint is made between iterations, or before the validation of an epoch.
        first = start.batch if start.phase == "train" else 3
        rest = list(plan(data_set, rank=1).run(start.epoch, first))
        assert [place(request) for request in rest] == [place(request) for request in whole[done:]]
        for a, b in zip(rest, whole[done:], strict=True):
            assert np.array_equal(a.params, b.params)


def test_requests_name_the_rows_of_each_crop(data_set: Path) -> None:
    for request in plan(data_set).run(0, 0):
        assert (request.rows, request.tops) == (28, tuple(request.params[:, 0]))
    assert plan(data_set).slot_shape == (28, 32, 3)


@pytest.mark.parametrize("augment", [AugmentConfig(pad=2), AugmentConfig(crop="resized")])
def test_a_crop_of_its_own_kind_needs_whole_images_except_in_validation(data_set: Path, augment: AugmentConfig) -> None:
    plan = Plan(ORDER, augment, HICKLE.describe(DataConfig(dir=data_set)), rank=0, crop=28)
    assert {(request.phase, request.rows, bool(request.tops)) for request in plan.run(0, 0)} == {
        ("train", 0, False),
        ("val", 28, True),
    }
    assert plan.slot_shape == (32, 32, 3)


def test_the_last_iteration_counts_images_of_all_workers(data_set: Path) -> None:
    order = plan(data_set).train
    assert [order.all_workers_count(i) for i in range(order.iterations)] == [20, 20, 8]


def test_with_per_image_off_all_workers_use_one_draw_for_a_batch(data_set: Path) -> None:
    both = [list(islice(plan(data_set, rank, per_image=False).training(0), 3)) for rank in range(2)]
    for requests in zip(*both, strict=True):
        params = np.concatenate([request.params for request in requests])
        assert (params == params[0]).all()
    assert len({request.params[0].tobytes() for request in both[0]}) > 1


WITH_SUBSET = BatchOrder(seed=1, n_epochs=2, batch_size=6, world_size=2, val_freq=2, val_images=7)


def requests_of(folder: Path, order: BatchOrder = WITH_SUBSET, *, first: int = 0) -> list[BatchRequest]:
    data = HICKLE.describe(DataConfig(dir=folder))
    return list(Plan(order, AugmentConfig(), data, rank=0, crop=28).run(0, first))


def test_the_subset_is_evaluated_between_iterations_and_never_at_the_ends_of_an_epoch(data_set: Path) -> None:
    subset = [("val_subset", 0, 0)]
    train = [("train", 0, i) for i in range(4)]
    val = [("val", 0, i) for i in range(2)]
    assert [place(request)[:3] for request in requests_of(data_set)][:8] == [
        *train[:2],
        *subset,
        *train[2:],
        *val,
        ("train", 1, 0),
    ]


MEASURED = replace(ORDER, norm_images=21)


def test_norms_are_measured_on_full_batches_of_the_epoch_that_are_not_augmented(data_set: Path) -> None:
    requests = requests_of(data_set, MEASURED)
    epoch = [("train", 0, 0), ("train", 0, 1), ("train", 0, 2), ("norms", 0, 0), ("norms", 0, 1), ("val", 0, 0)]
    assert [place(request)[:3] for request in requests][:6] == epoch
    (batch,) = [request for request in requests if place(request)[:3] == ("norms", 1, 1)]
    assert batch.params.tolist() == [[2, 2, 0]] * 10
    others = [request for request in requests if request.phase != "norms"]
    for request, without in zip(others, requests_of(data_set, ORDER), strict=True):
        assert place(request) == place(without)
        assert np.array_equal(request.params, without.params)
    too_many = requests_of(data_set, replace(ORDER, norm_images=1000))
    assert sum(request.phase == "norms" and request.epoch == 0 for request in too_many) == 2  # of three, one is short
    assert not any(r.phase == "norms" for r in requests_of(data_set, replace(MEASURED, batch_size=40)))


def test_the_subset_does_not_change_the_training(data_set: Path) -> None:
    without = requests_of(data_set, replace(WITH_SUBSET, val_freq=0))
    rest = [request for request in requests_of(data_set) if request.phase != "val_subset"]
    assert [place(request) for request in rest] == [place(request) for request in without]
    assert all(np.array_equal(a.params, b.params) for a, b in zip(rest, without, strict=True))


def test_a_run_resumed_where_the_subset_is_due_evaluates_it(data_set: Path) -> None:
    whole = requests_of(data_set)
    assert [place(request) for request in requests_of(data_set, first=2)] == [place(request) for request in whole[2:]]
    assert [place(request) for request in requests_of(data_set, first=3)] == [place(request) for request in whole[4:]]
