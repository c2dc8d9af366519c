"""The fields of Caffe's caffe.proto that store weights, as protobuf messages.

Packed numbers look like bytes on the wire. They are declared as bytes here and read without a copy.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

# Message: (field, its number in caffe.proto, its type). A str names another message; a list means repeated.
FIELDS: dict[str, tuple[tuple[str, int, Any], ...]] = {
    "Shape": (("dim", 1, [Field.TYPE_INT64]),),
    "Blob": (
        ("num", 1, Field.TYPE_INT32),
        ("channels", 2, Field.TYPE_INT32),
        ("height", 3, Field.TYPE_INT32),
        ("width", 4, Field.TYPE_INT32),
        ("data", 5, Field.TYPE_BYTES),
        ("shape", 7, "Shape"),
        ("double_data", 8, Field.TYPE_BYTES),
    ),
    "Layer": (("name", 1, Field.TYPE_STRING), ("type", 2, Field.TYPE_STRING), ("blobs", 7, ["Blob"])),
    "OldLayer": (("name", 4, Field.TYPE_STRING), ("blobs", 6, ["Blob"])),
    "Net": (("name", 1, Field.TYPE_STRING), ("layers", 2, ["OldLayer"]), ("layer", 100, ["Layer"])),
}


def message_class(name: str) -> Any:
    """Return the protobuf class of a message in ``FIELDS``."""
    file = FileDescriptorProto(name="caffe_weights.proto", package="weights", syntax="proto2")
    for message, fields in FIELDS.items():
        descriptor = file.message_type.add(name=message)
        for field, number, kind in fields:
            repeated = isinstance(kind, list)
            label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
            added = descriptor.field.add(name=field, number=number, label=label)
            element = kind[0] if repeated else kind
            if isinstance(element, str):
                added.type, added.type_name = Field.TYPE_MESSAGE, f".weights.{element}"
            else:
                added.type = element
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"weights.{name}"))
