"""Parts that more than one role builds from the configuration."""

from collections.abc import Iterator

import torch

from ..checkpoints.checkpoint import Identity, Preparation
from ..checkpoints.progress import Progress
from ..config.dump import dotted
from ..config.schema import Config
from ..data.dataset import DataSet, read_mean_image
from ..data.feed import Feed
from ..data.plan import BatchRequest, Plan
from ..data.slots import create_slots
from ..data.sources.speed_advice import SpeedAdvice
from ..ipc import shared_memory
from ..recording.recorder import NullRecorder, Recorder
from ..recording.trackers import open_trackers
from ..runtime.process import Context
from ..system.devices import choose_device, prepare

MAX_AHEAD = 2
"""updates that a host may be ahead of its GPU: one that the GPU computes, one that waits"""


def init_device(config: Config, rank: int) -> tuple[torch.device, torch.dtype]:
    """Prepare the device of worker ``rank``. Return it, and the dtype that the network computes in."""
    devices = all_devices(config)
    dtype = prepare(
        devices[rank],
        precision=config.compute.precision,
        deterministic=config.compute.deterministic,
        threads=config.compute.threads or 1,
    )
    return devices[rank], dtype


def all_devices(config: Config) -> list[torch.device]:
    """Return the device of every worker, by rank. Raises ConfigError if one does not exist."""
    n_gpus = torch.cuda.device_count()
    return [choose_device(config.devices, rank, n_gpus) for rank in range(config.world_size)]


def open_feed(context: Context, plan: Plan, requests: Iterator[BatchRequest], device: torch.device) -> Feed:
    """Return the feed of these requests of ``plan`` from this worker's loader."""
    cached = None
    if context.sheet.cached and device.type == "cuda":
        context.be_patient("page-locking the images of data.cache memory")
        cached = {split: shared_memory.attach(handles.images) for split, handles in context.sheet.cached.items()}
    slots = create_slots(
        device,
        slots=context.config.data.slots,
        batch_size=context.config.batch_size,
        slot_shape=plan.slot_shape,
        cached=cached,
    )
    return Feed(context.channel(f"loader{context.rank}", bind=False, peer=f"loader {context.rank}"), requests, slots)


def build_recorder(context: Context, plan: Plan, progress: Progress, device: torch.device) -> NullRecorder:
    """Return this worker's recorder: worker 0 records for all."""
    if context.rank:
        return NullRecorder()
    config, iterations = context.config, plan.train.iterations
    settings = {key: str(value) for key, value in dotted(config)}
    step = progress.epoch * iterations + progress.iteration
    return Recorder(
        config.run.weights_dir,
        config.logging,
        context.name,
        progress,
        n_epochs=config.run.n_epochs,
        iterations=iterations,
        trackers=open_trackers(config.logging, config.run.weights_dir, settings, step),
        slow_data_advice=SpeedAdvice(config.data, context.sheet.cache),
        device=device,
    )


def identity(config: Config, data: DataSet) -> Identity:
    """Return what a checkpoint must share with this run."""
    name, fingerprint = config.model.name, data.fingerprint
    return Identity(
        model=name,
        n_classes=data.n_classes,
        img_size=data.img_size,
        data_fingerprint=fingerprint,
        variant=config.model.variant,
    )


def preparation(config: Config, data: DataSet) -> Preparation:
    """Return what a checkpoint keeps of the data set and its normalization: enough to classify with."""
    return Preparation(
        resize=data.resize,
        mean=torch.from_numpy(read_mean_image(data)),
        classes=tuple((c.wnid, c.name) for c in data.classes),
        subtracted=config.normalize.mean,
        std=config.normalize.std,
    )
