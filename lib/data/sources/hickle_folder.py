"""``data.source: hickle``: batch files that preprocessing/ has packed, or those of theano_alexnet."""

from ...config.schema import DataConfig
from ...types import Split
from ..cache_choice import Cache, choose_memory, memory_advice
from ..dataset import DataSet
from ..packed.checks import check_data
from ..packed.layout import Layout, layout
from ..packed.manifest import read_manifest
from ..packed.metadata import read_classes
from ..packed.reader import HickleBatches
from ..worker_count import readers
from . import theano
from .base import Source, SourceKind, Warn


def _describe(data: DataConfig) -> DataSet:
    at = layout(data.dir, data.misc_dir)
    if _is_theano(at):
        return theano.describe(at, data.shuffle)
    manifest = read_manifest(at)
    check_data(at, manifest)
    return DataSet(
        where=str(data.dir),
        img_size=manifest.img_size,
        train_counts=tuple(file.count for file in manifest.train.files),
        val_counts=tuple(file.count for file in manifest.val.files),
        classes=tuple(read_classes(at)),
        fingerprint=manifest.fingerprint,
        resize=manifest.resize,
        mean_image=at.mean,
    )


def _open(data: DataConfig, described: DataSet, split: Split, warn: Warn) -> Source:
    at = layout(data.dir, data.misc_dir)
    if _is_theano(at):
        return theano.TheanoBatches(at, described, split)
    return HickleBatches(at, read_manifest(at), split, readers=readers(data.readers), verify=data.verify)


def _is_theano(at: Layout) -> bool:
    return not at.manifest.exists() and theano.is_data_set(at)


def _speed_advice(data: DataConfig, cache: Cache) -> str:
    if cache == "memory":
        return memory_advice(data)
    disk = "put data.dir on a faster disk (python -m lib.commands.doctor measures it)"
    if _is_theano(layout(data.dir, data.misc_dir)):
        pack = "pack the images again with preprocessing/generate_data.sh"
        return f"files of theano_alexnet are read whole, one after the other: {pack}, or {disk}"
    raised = "raise " if data.readers == "auto" else f"raise data.readers (now {data.readers}), then "
    return f"{raised}data.slots (now {data.slots}), or {disk}"


HICKLE = SourceKind(describe=_describe, open=_open, choose_cache=choose_memory, speed_advice=_speed_advice)
