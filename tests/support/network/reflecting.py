"""What grpcurl does, in Python: asks a server's reflection what it offers, and calls it with messages made from that.

Nothing of the services is imported: every message comes from what the server says of itself.
"""

import json
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

Request = reflection_pb2.ServerReflectionRequest


class Reflected:
    """A server, as its reflection describes it."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        self._pool = DescriptorPool()
        self._added: set[str] = set()

    @cached_property
    def services(self) -> list[str]:
        (answer,) = self.ask(Request(list_services=""))
        return [service.name for service in answer.list_services_response.service]

    def ask(self, *requests: Any) -> list[Any]:
        return list(self._stub.ServerReflectionInfo(iter(requests), timeout=20))

    def file_names(self, symbol: str) -> list[str]:
        """Names of the file that has a symbol, and of all it imports, as they were sent."""
        return [file.name for file in self._files(Request(file_containing_symbol=symbol))]

    def methods(self, service: str) -> dict[str, Any]:
        """The methods of a service, by name."""
        self.learn(service)
        return dict(self._pool.FindServiceByName(service).methods_by_name)

    def learn(self, symbol: str) -> None:
        """Get to know the file that has a symbol."""
        self._learn(self._files(Request(file_containing_symbol=symbol)))

    def call(self, method: str, request: dict[str, Any]) -> dict[str, Any]:
        """Call a unary method, `package.Service/Method`, with a request in JSON form; answers in JSON form."""
        (answer,) = self.call_many(method, [request])
        return answer

    def call_many(self, method: str, requests: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Call a method, streaming or not, as `call` does."""
        service, _, name = method.partition("/")
        found = self.methods(service)[name]
        asked = (self._bytes(found.input_type, request) for request in requests)
        channel: Any = self._channel
        if found.client_streaming and found.server_streaming:
            answers: Iterator[bytes] = channel.stream_stream(f"/{method}")(asked, timeout=20)
        else:
            answers = iter([channel.unary_unary(f"/{method}")(next(asked), timeout=20)])
        return [self._json(found.output_type, data) for data in answers]

    def _bytes(self, kind: Any, request: dict[str, Any]) -> bytes:
        message = GetMessageClass(self._known(kind))()
        return json_format.Parse(json.dumps(request), message, descriptor_pool=self._pool).SerializeToString()

    def _json(self, kind: Any, data: bytes) -> dict[str, Any]:
        message = GetMessageClass(self._known(kind)).FromString(data)
        return json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=self._pool)

    def _known(self, kind: Any) -> Any:
        return self._pool.FindMessageTypeByName(kind.full_name)

    def _files(self, request: Any) -> list[FileDescriptorProto]:
        (answer,) = self.ask(request)
        assert not answer.HasField("error_response"), answer
        return [FileDescriptorProto.FromString(d) for d in answer.file_descriptor_response.file_descriptor_proto]

    def _learn(self, files: Iterable[FileDescriptorProto]) -> None:
        """Add files to the pool, each after those it imports; what was not sent is asked for by its name."""
        waiting = {file.name: file for file in files}
        while waiting:
            self._add(next(iter(waiting.values())), waiting)

    def _add(self, file: FileDescriptorProto, waiting: dict[str, FileDescriptorProto]) -> None:
        waiting.pop(file.name, None)
        if file.name in self._added:
            return
        for name in file.dependency:
            imported = waiting.get(name)
            if name not in self._added:
                self._add(imported or self._files(Request(file_by_filename=name))[0], waiting)
        self._pool.AddSerializedFile(file.SerializeToString())
        self._added.add(file.name)
