"""Caffe's ``Datum``, the record of its LMDBs: raw pixels as BGR planes, or an encoded image file.

Source: caffe.proto of https://github.com/BVLC/caffe
"""

import math
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from ...errors import DataError
from .decode import Resize, check_size, decode, resized

_Field = descriptor_pb2.FieldDescriptorProto
_FIELDS = (
    ("channels", 1, _Field.TYPE_INT32, _Field.LABEL_OPTIONAL),
    ("height", 2, _Field.TYPE_INT32, _Field.LABEL_OPTIONAL),
    ("width", 3, _Field.TYPE_INT32, _Field.LABEL_OPTIONAL),
    ("data", 4, _Field.TYPE_BYTES, _Field.LABEL_OPTIONAL),
    ("label", 5, _Field.TYPE_INT32, _Field.LABEL_OPTIONAL),
    ("float_data", 6, _Field.TYPE_FLOAT, _Field.LABEL_REPEATED),
    ("encoded", 7, _Field.TYPE_BOOL, _Field.LABEL_OPTIONAL),
)


def _datum_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="datum.proto", package="caffe", syntax="proto2")
    message = file.message_type.add(name="Datum")
    for name, number, kind, label in _FIELDS:
        message.field.add(name=name, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()  # a separate one: other libraries may register a Datum too
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.Datum"))


Datum = _datum_class()


def read_datum(record: bytes) -> Any:
    """Parse ``record`` as a ``Datum``. Raises DataError with the reason if it is none, or holds no image."""
    try:
        datum = Datum.FromString(record)
    except DecodeError:
        raise DataError("it is not a Datum") from None
    if datum.encoded and datum.data:
        return datum
    if datum.float_data:
        raise DataError("its values are floats, not bytes")
    shape = (datum.channels, datum.height, datum.width)
    if datum.channels not in (1, 3) or min(shape) < 1 or len(datum.data) != math.prod(shape):
        raise DataError(f"it is not a Datum of an image: {len(datum.data)} bytes for a shape of {shape}")
    check_size(datum.width, datum.height)
    return datum


def datum_image(record: bytes, size: int, resize: Resize) -> NDArray[np.uint8]:
    """Return the image in ``record`` as uint8 (size, size, 3), RGB. Raises DataError with the reason."""
    datum = read_datum(record)
    if datum.encoded:
        return decode(datum.data, size, resize)
    planes = np.frombuffer(datum.data, np.uint8).reshape(datum.channels, datum.height, datum.width)
    image = np.ascontiguousarray(planes[::-1].transpose(1, 2, 0))  # Caffe's planes are blue, green, red
    if datum.channels == 1:
        image = np.repeat(image, 3, axis=2)
    return image if image.shape[:2] == (size, size) else resized(image, size, resize)
