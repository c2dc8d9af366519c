"""What a user can change if trainers wait for images."""

from ...config.schema import DataConfig
from ..cache_choice import Cache, cached_bytes
from .registry import source_kind


class SpeedAdvice:
    """Says what makes a data set's images come faster, from what has happened since it was last asked."""

    def __init__(self, data: DataConfig, cache: Cache) -> None:
        """``cache`` is what ``data.cache`` stands for in this run."""
        self._data, self._cache = data, cache
        self._bytes = self._cached_bytes()

    def __call__(self) -> str:
        """Return the advice. While images are decoded to fill a cache on disk, there is nothing to change."""
        before, self._bytes = self._bytes, self._cached_bytes()
        if self._bytes > before:
            return "images are being decoded and kept (data.cache disk); later epochs read them from there"
        return source_kind(self._data).speed_advice(self._data, self._cache)

    def _cached_bytes(self) -> int:
        return cached_bytes(self._data) if self._cache == "disk" else 0
