"""Server reflection for every service, whichever descriptor pool its messages live in."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
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
from genrestack_server.rpc.request_reader import PUBLIC_BYTES, RequestReader
from genrestack_server.rpc.rpc_handler import Context, answered
from genrestack_server.service.messages import parse_request

# The details of a refusal travel as google.protobuf.Any: a tool that shows them asks what is in it.
_DESCRIBED: Final = (prediction_pb2, open_inference_pb2, health_pb2, reflection_pb2, error_details_pb2)


def reflection_handler(services: Iterable[str]) -> grpc.GenericRpcHandler:
    """Return what describes the services named, and itself."""
    servicer = reflection.aio.ReflectionServicer([*services, reflection.SERVICE_NAME], _pool())
    handler: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
        _Answering(servicer).stream, None, reflection_pb2.ServerReflectionResponse.SerializeToString
    )
    handlers = {"ServerReflectionInfo": handler}
    return grpc.method_handlers_generic_handler(reflection.SERVICE_NAME, handlers)


class _Answering:
    """The packaged servicer, behind limits and errors of ours."""

    def __init__(self, servicer: Any) -> None:
        self._servicer = servicer
        self._reader = RequestReader.small(PUBLIC_BYTES)

    async def stream(self, _: object, context: Context) -> AsyncGenerator[Any, None]:
        """Answer each request of a stream."""
        async with aclosing(self._servicer.ServerReflectionInfo(self._requests(context), context)) as responses:
            while (response := await answered(context, anext(responses, None))) is not None:
                yield response

    async def _requests(self, context: Context) -> AsyncGenerator[Any, None]:
        async for data in self._reader.items(context, lasting=False):
            yield parse_request(reflection_pb2.ServerReflectionRequest, data)


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
