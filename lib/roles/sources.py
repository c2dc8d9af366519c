"""Open the data set for a loader."""

import os
from dataclasses import replace

from ..config.schema import DataConfig
from ..data.sources.base import Source, SynchronousSource
from ..data.sources.in_memory import InMemory
from ..data.sources.registry import source_kind
from ..data.worker_count import AdaptiveCount, adaptive_count, readers, with_counts
from ..ipc import shared_memory
from ..runtime.process import Context
from ..runtime.torchrun import local_workers
from ..types import SPLITS, Split


def open_sources(context: Context) -> tuple[Source, Source, AdaptiveCount]:
    """Open both splits. Returns them, and the number of threads or processes that read them."""
    config = context.config
    counts = with_counts(config.data, local_workers(config.world_size, os.environ))
    train, val = (open_split(context, replace(counts, cache=context.sheet.cache), split) for split in SPLITS)
    for source in (train, val):
        if isinstance(source, SynchronousSource):
            source.heartbeat = context.heartbeat
    return train, val, adaptive_count(config.data, counts, source_kind(config.data).resized_by)


def open_split(context: Context, config: DataConfig, split: Split) -> Source:
    """Open one split, from ``data.cache: memory`` if it is there."""
    data, cached = context.sheet.data, context.sheet.cached
    if not cached:
        return source_kind(config).open(config, data, split, context.warn)
    images, labels = (shared_memory.attach(handle) for handle in (cached[split].images, cached[split].labels))
    return InMemory(images, labels, img_size=data.img_size, resize=data.resize, threads=readers(config.readers))
