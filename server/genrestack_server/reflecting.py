"""Server reflection for every service, whichever descriptor pool its messages live in."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from genrestack_proto.inference import open_inference_pb2
from genrestack_proto.v1 import prediction_pb2

# The details of a refusal travel as google.protobuf.Any: a tool that shows them asks what is in it.
_DESCRIBED: Final = (prediction_pb2, open_inference_pb2, health_pb2, reflection_pb2, error_details_pb2)


def add_reflection(server: grpc.aio.Server, services: Iterable[str]) -> None:
    """Add the reflection that describes the services named, and itself."""
    reflection.enable_server_reflection([*services, reflection.SERVICE_NAME], server, _pool())


@lru_cache(maxsize=1)
def _pool() -> DescriptorPool:
    """Copy every file into one pool: reflection takes one, and the Open Inference Protocol has a pool of its own."""
    pool, seen = DescriptorPool(), set[str]()
    for module in _DESCRIBED:
        _copy(module.DESCRIPTOR, pool, seen)
    return pool


def _copy(file: Any, pool: DescriptorPool, seen: set[str]) -> None:
    """Copy a file, after those it imports."""
    if file.name in seen:
        return
    seen.add(file.name)
    for imported in file.dependencies:
        _copy(imported, pool, seen)
    copied = FileDescriptorProto()
    file.CopyToProto(copied)
    pool.AddSerializedFile(copied.SerializeToString())
