"""The array in a .npy file, which may be damaged: NumPy has half a dozen errors for that, this has one."""

import io
import tokenize
from typing import Any

import numpy as np
from numpy.typing import NDArray


def array_of(content: bytes) -> NDArray[Any]:
    """The array whose .npy file has these bytes. Raises ValueError when they are damaged, or hold Python objects."""
    try:
        array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except (EOFError, MemoryError, tokenize.TokenError) as error:
        raise ValueError(f"its header is damaged: {error}") from None
    return array
