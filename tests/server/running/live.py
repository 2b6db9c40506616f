"""A running server to talk to: in process, or as the real command."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub
from genrestack_server import Server, ServerConfig

MIB = 2**20


@dataclass
class Running:
    """A server to talk to."""

    port: int
    server: Server | None = None
    loop: asyncio.AbstractEventLoop | None = None

    @cached_property
    def channel(self) -> grpc.Channel:
        options = [("grpc.max_receive_message_length", 256 * MIB), ("grpc.max_send_message_length", 256 * MIB)]
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", options)

    @cached_property
    def stub(self) -> PredictionServiceStub:
        return PredictionServiceStub(self.channel)

    def health(self, name: str = "") -> str:
        request = health_pb2.HealthCheckRequest(service=name)
        answer = health_pb2_grpc.HealthStub(self.channel).Check(request, timeout=10)
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

    def stop(self, grace: float = 0) -> Future[bool]:
        """Begin to stop an in-process server."""
        assert self.server is not None
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(self.server.stop(grace), self.loop)


class RunServer(Protocol):
    def __call__(self, models_dir: Path, **options: Any) -> AbstractContextManager[Running]: ...


@contextmanager
def running_server(models_dir: Path, **options: Any) -> Iterator[Running]:
    # A run that is held waits for as long as the machine takes; the limit is the subject of tests that set it.
    limits = {"grace": 5, "max_compute_seconds": 3600}
    config = replace(ServerConfig(models_dir=models_dir, port=0, threads=1, management="open"), **(limits | options))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def make() -> Server:
        return await Server(config).__aenter__()

    try:
        server = asyncio.run_coroutine_threadsafe(make(), loop).result(60)
        running = Running(server.port, server, loop)
        try:
            yield running
        finally:
            running.channel.close()
            asyncio.run_coroutine_threadsafe(server.stop(0), loop).result(60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass
class Command:
    """`genrestack serve` in a process of its own."""

    process: "subprocess.Popen[str]"
    said: str

    @cached_property
    def running(self) -> Running:
        found = re.search(r" on \S+:(\d+)\s", self.said)
        assert found, self.said
        return Running(int(found[1]))


Launch = Callable[..., Command]


def serve_process(*arguments: str | Path) -> "subprocess.Popen[str]":
    command = [Path(sys.executable).parent / "genrestack", "serve", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end_process(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def details(error: grpc.RpcError) -> list[tuple[str, str]]:
    """Field violations of a refused call, as (field, description)."""
    call: Any = error
    data = dict(call.trailing_metadata())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(data)
    assert status.message == error.details()
    assert status.code == error.code().value[0]
    return violations(status)


def violations(status: status_pb2.Status) -> list[tuple[str, str]]:
    bad = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(bad)
    return [(violation.field, violation.description) for violation in bad.field_violations]
