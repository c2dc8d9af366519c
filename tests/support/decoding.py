"""A decoder whose output and duration depend on its input; importable in a spawned process."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib.errors import DataError


@dataclass(frozen=True)
class Number:
    """Decode "7" to an image of sevens. Larger numbers take less time; numbers above 200 are an error."""

    def __call__(self, name: bytes) -> NDArray[np.uint8]:
        if int(name) > 200:
            raise DataError(f"{int(name)} is too much")
        time.sleep((200 - int(name)) / 200_000)
        return np.full((2, 2, 3), int(name) % 256, np.uint8)

    def stamp(self, name: bytes) -> tuple[int, int]:
        return int(name), 0

    def close(self) -> None: ...
