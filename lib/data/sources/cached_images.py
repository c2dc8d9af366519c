"""Decoded images with ``data.cache: disk``: pictures that are in the cache, as they are now, are not decoded."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ...config.schema import DataConfig
from ...types import Split
from .. import worker_count
from ..cache_choice import cache_folder
from ..disk_cache import DiskCache, Stamp
from ..index import Index
from .base import PendingRead, Tops, Warn
from .decoded import DecodedImages
from .decoders import Decoders, ImageDecoder, open_decoders


def open_decoded(
    data: DataConfig, split: Split, index: Index, decoder: ImageDecoder, where: str, warn: Warn
) -> DecodedImages:
    """Open one split of images that ``decoder`` decodes, with the cache that ``data.cache`` asks for."""
    decoders = open_decoders(worker_count.decoders(data.decoders), decoder, data.img_size)
    if data.cache != "disk":
        return DecodedImages(index, decoders, where, warn)
    readers = worker_count.readers(data.readers)
    cache = DiskCache(cache_folder(data, split), index.names, data.img_size, readers=readers, warn=warn)
    return CachedImages(index, decoders, where, warn, cache, decoder.stamp)


class CachedImages(DecodedImages):
    """``DecodedImages`` through a cache."""

    def __init__(
        self,
        index: Index,
        decoders: Decoders,
        where: str,
        warn: Warn,
        cache: DiskCache,
        stamp: Callable[[bytes], Stamp],
    ) -> None:
        """``stamp`` returns that of a picture, and raises UnavailableError if the picture is gone."""
        super().__init__(index, decoders, where, warn)
        self._cache, self._stamp = cache, stamp

    def read(self, indices: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        self.begin_read(indices, out)()

    def begin_read(self, indices: NDArray[np.int64], out: NDArray[np.uint8], tops: Tops = None) -> PendingRead:
        """Begin to read what is in the cache. The returned call decodes the rest. Both raise DataError."""
        chosen = self._chosen(indices)
        # A picture that changes while it is decoded has another stamp from then on.
        stamps = [self._stamp(name) for name in self._names_of(chosen)]
        reading = self._cache.begin(chosen, stamps, out, tops)

        def finish() -> None:
            places = reading.wait()
            if not places:
                return
            images = self._decode([chosen[place] for place in places], [stamps[place] for place in places])
            for place, image in zip(places, images, strict=True):
                top = tops[place] if tops else 0
                out[place] = image[top : top + out.shape[1]]

        return finish

    def close(self) -> None:
        super().close()
        self._cache.close()

    def _decode(self, chosen: list[int], stamps: Sequence[Stamp]) -> NDArray[np.uint8]:
        """Return whole images (n, H, W, 3), and keep those that are not broken."""
        images = np.empty((len(chosen), *self._cache.image_shape), np.uint8)
        broken = self._decoders.decode(self._names_of(chosen), images, self.heartbeat)
        for place, (index, stamp) in enumerate(zip(chosen, stamps, strict=True)):
            if place in broken:
                self._replace(index, broken[place], images[place : place + 1])
            else:
                self._cache.add(index, stamp, images[place])
        return images
