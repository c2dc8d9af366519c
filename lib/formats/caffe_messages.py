"""The few fields of Caffe's caffe.proto that weights are stored in, as protobuf messages.

Numbers are packed, which on the wire looks as bytes do: they are declared as bytes here and read without a copy.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_BYTES, _INT32, _INT64, _STRING = (
    FieldDescriptorProto.TYPE_BYTES,
    FieldDescriptorProto.TYPE_INT32,
    FieldDescriptorProto.TYPE_INT64,
    FieldDescriptorProto.TYPE_STRING,
)

# Message: field, its number in caffe.proto, its type. A text names a message; a list: there may be several.
FIELDS: dict[str, tuple[tuple[str, int, Any], ...]] = {
    "Shape": (("dim", 1, [_INT64]),),
    "Blob": (
        ("num", 1, _INT32),
        ("channels", 2, _INT32),
        ("height", 3, _INT32),
        ("width", 4, _INT32),
        ("data", 5, _BYTES),
        ("shape", 7, "Shape"),
        ("double_data", 8, _BYTES),
    ),
    "Layer": (("name", 1, _STRING), ("type", 2, _STRING), ("blobs", 7, ["Blob"])),
    "OldLayer": (("name", 4, _STRING), ("blobs", 6, ["Blob"])),
    "Net": (("name", 1, _STRING), ("layers", 2, ["OldLayer"]), ("layer", 100, ["Layer"])),
}


def message_class(name: str) -> Any:
    """The protobuf class of one of ``FIELDS``."""
    file = FileDescriptorProto(name="caffe_weights.proto", package="weights", syntax="proto2")
    for message, fields in FIELDS.items():
        description = file.message_type.add(name=message)
        for field, number, kind in fields:
            several = isinstance(kind, list)
            label = FieldDescriptorProto.LABEL_REPEATED if several else FieldDescriptorProto.LABEL_OPTIONAL
            added = description.field.add(name=field, number=number, label=label)
            one = kind[0] if several else kind
            if isinstance(one, str):
                added.type, added.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".weights.{one}"
            else:
                added.type = one
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"weights.{name}"))
