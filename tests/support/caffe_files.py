"""Write Caffe models byte by byte, with the field numbers of caffe.proto repeated here."""

import struct
from collections.abc import Mapping, Sequence

import numpy as np

Layers = Mapping[str, Sequence[np.ndarray]]


def caffemodel(layers: Layers) -> bytes:
    """Encode a NetParameter: name = 1, layer = 100; LayerParameter: name = 1, type = 2, bottom = 3, blobs = 7."""
    parts = [block(1, b"a net")]
    for name, blobs in layers.items():
        head = block(1, name.encode()) + block(2, b"Anything") + block(3, b"data")
        parts.append(block(100, head + b"".join(block(7, blob(array)) for array in blobs)))
    return b"".join(parts)


def old_caffemodel(layers: Layers) -> bytes:
    """Encode a NetParameter of the first generation: layers = 2; V1LayerParameter: name = 4, blobs = 6."""
    return b"".join(
        block(2, block(4, name.encode()) + b"".join(block(6, old_blob(array)) for array in blobs))
        for name, blobs in layers.items()
    )


def blob(array: np.ndarray) -> bytes:
    """Encode a BlobProto: data = 5 (packed floats), shape = 7; BlobShape: dim = 1 (packed)."""
    dims = b"".join(varint(n) for n in array.shape)
    return block(5, array.astype("<f4").tobytes()) + block(7, block(1, dims))


def old_blob(array: np.ndarray) -> bytes:
    """Encode a BlobProto of four axes: num = 1, channels = 2, height = 3, width = 4."""
    shape = (1,) * (4 - array.ndim) + array.shape
    return b"".join(varint(n << 3) + varint(size) for n, size in enumerate(shape, 1)) + block(
        5, struct.pack(f"<{array.size}f", *array.ravel())
    )


def block(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
