"""Code that differs on a GPU agrees with the plain code on the CPU."""

import gc

import numpy as np
import pytest
import torch

from lib.config.schema import AugmentConfig, NormalizeConfig
from lib.data.augment.params import draw_params
from lib.data.augment.transform import Transform, crop_and_normalize
from lib.data.cached_upload import CachedUpload
from lib.data.plan import BatchRequest
from lib.data.upload import CudaUpload, Upload
from lib.ipc import shared_memory
from lib.models.alexnet import AlexNet
from lib.models.layers import ResponseNorm
from lib.system.devices import choose_device
from lib.training.graph import Graph
from lib.types import Phase

GPU = torch.device("cuda:0")


def test_devices_auto_takes_the_gpus() -> None:
    n_gpus = torch.cuda.device_count()
    assert choose_device(["auto"], 0, n_gpus) == GPU


def test_uploaded_batches_equal_the_slots() -> None:
    """There are more batches than slots and device buffers, and each is read late, on a busy device."""
    images, _ = shared_memory.create("images", (3, 8, 32, 32, 3), "uint8")
    labels, _ = shared_memory.create("labels", (3, 8), "int64")
    upload, plain = CudaUpload(GPU, images, labels), Upload(images, labels)
    rng = np.random.default_rng(0)
    free, ready, expected = [0, 1, 2], [], []
    seen: list[list[torch.Tensor]] = []
    busy = torch.randn(2000, 2000, device=GPU)
    for step in range(40):
        free += upload.free_slots(wait=not free)
        slot, count = free.pop(0), int(rng.integers(1, 9))
        images[slot], labels[slot] = rng.integers(0, 256, images.shape[1:]), rng.integers(0, 10, 8)
        # Rows with and without stretching and colors in turn, as training and validation may have them.
        kind = AugmentConfig(crop="resized" if step % 2 else "random")
        params = draw_params(count, img_size=32, crop=28, augment=kind, seed=1, epoch=step)
        request = BatchRequest("train", 0, step, params, rows=28 if step % 4 == 0 else 0)
        ready.append(upload.put(slot, request))
        expected.append([tensor.clone() for tensor in plain.put(slot, request)])
        batch = ready.pop(0)
        upload.hand_over()
        busy = busy @ busy / 2000
        seen.append([tensor.clone() for tensor in batch])
    for got, reference in zip(seen, expected, strict=True):
        for a, b in zip(got, reference, strict=True):
            assert torch.equal(a.cpu(), b)
    upload.close()


def test_batches_are_copied_straight_from_cached_images() -> None:
    """Rows of crops and whole images in turns, more batches than slots, on a busy device."""
    rng = np.random.default_rng(0)
    cached = {}
    for split, count in (("train", 50), ("val", 20)):
        cached[split], _ = shared_memory.create(split, (count, 32, 32, 3), "uint8")
        cached[split][:] = rng.integers(0, 256, cached[split].shape)
    indices, _ = shared_memory.create("indices", (3, 8), "int64")
    labels, _ = shared_memory.create("labels", (3, 8), "int64")
    upload = CachedUpload(GPU, indices, labels, cached, (32, 32, 3))  # type: ignore[arg-type]
    free, busy = [0, 1, 2], torch.randn(2000, 2000, device=GPU)
    for step in range(30):
        free += upload.free_slots(wait=not free)
        slot, count = free.pop(0), int(rng.integers(1, 9))
        phase: Phase = "val" if step % 3 == 0 else "train"
        indices[slot], labels[slot] = rng.integers(0, len(cached[phase]), 8), rng.integers(0, 10, 8)
        params = draw_params(count, img_size=32, crop=28, augment=AugmentConfig(), seed=1, epoch=step)
        rows = 28 if step % 2 else 0
        batch = upload.put(slot, BatchRequest(phase, 0, step, params, rows=rows))
        upload.hand_over()
        busy = busy @ busy / 2000
        images = torch.from_numpy(cached[phase][indices[slot, :count]])
        tops = params[:, 0].tolist() if rows else [0] * count
        expected = torch.stack([image[top : top + (rows or 32)] for image, top in zip(images, tops, strict=True)])
        assert torch.equal(batch.images_BHWC.cpu(), expected)
        assert torch.equal(batch.labels_B.cpu(), torch.from_numpy(labels[slot, :count]))
    upload.close()


def test_crops_and_mirrors_are_equal_on_cpu_and_gpu() -> None:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (9, 40, 40, 3), dtype=np.uint8))
    mean = torch.from_numpy(rng.random((40, 40, 3), dtype=np.float32))
    params = torch.from_numpy(draw_params(9, img_size=40, crop=33, augment=AugmentConfig(), seed=1, epoch=0))
    there = crop_and_normalize(images.to(GPU), mean.to(GPU), params.to(GPU), 33)
    assert torch.equal(there.cpu(), crop_and_normalize(images, mean, params, 33))


def test_stretched_and_colored_images_are_close_on_cpu_and_gpu() -> None:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (9, 40, 40, 3), dtype=np.uint8))
    mean = rng.random((3, 40, 40), dtype=np.float32) * 255
    config = AugmentConfig(crop="resized", color_jitter=0.4, pca_lighting=0.1)
    params = torch.from_numpy(draw_params(9, img_size=40, crop=33, augment=config, seed=1, epoch=0))
    there = Transform(config, NormalizeConfig(std=(58.4, 57.12, 57.38)), mean, 33, GPU)(images.to(GPU), params.to(GPU))
    here = Transform(config, NormalizeConfig(std=(58.4, 57.12, 57.38)), mean, 33, torch.device("cpu"))(images, params)
    torch.testing.assert_close(there.cpu(), here, rtol=1e-3, atol=1e-3)


def test_response_norm_is_deterministic() -> None:
    x = torch.randn(4, 96, 27, 27, device=GPU, requires_grad=True)
    torch.use_deterministic_algorithms(True)
    try:
        gradients = [torch.autograd.grad(ResponseNorm()(x).square().sum(), x)[0] for _ in range(2)]
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("crop", [227, 85])
def test_alexnet_is_close_on_cpu_and_gpu(crop: int) -> None:
    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = False
    model = AlexNet(10, crop).eval()
    x = torch.randn(2, 3, crop, crop) * 60
    expected = model(x)
    torch.testing.assert_close(model.to(GPU)(x.to(GPU)).cpu(), expected, rtol=1e-3, atol=1e-4)


def test_a_graph_is_captured_while_an_older_one_is_garbage() -> None:
    """CUDA gives up a capture during which another graph is freed."""
    value = torch.zeros(1, device=GPU)

    def work() -> None:
        value.add_(1)
        for _ in range(2000):
            held: list[object] = []
            held.append(held)  # what the collector counts

    cycle: list[object] = [Graph(work, work, GPU)]
    cycle.append(cycle)
    del cycle
    graph = Graph(work, lambda: None, GPU)
    before = float(value)
    graph.replay()
    assert float(value) == before + 1
    assert gc.isenabled()
