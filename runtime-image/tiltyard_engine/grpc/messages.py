"""Message classes from our own descriptors, in a pool of their own.

Generated modules would register their names for the whole process, where stubs of clients have
them too, and would tie us to the protobuf that generated them. Both packages are untyped here,
hence `Any`.
"""

from importlib.resources import files
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

Message = Any
MessageClass = Any

DecodeError: type[Exception] = message.DecodeError

POOL = descriptor_pool.DescriptorPool()

SERVICES: list[str] = []
"""Full names of all services."""


def _load() -> None:
    data = files(__package__).joinpath("descriptors/services.binpb").read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        POOL.Add(file)
        SERVICES.extend(f"{file.package}.{service.name}" for service in file.service)


def message_class(name: str) -> MessageClass:
    """Class of a message by its full name."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


_load()
