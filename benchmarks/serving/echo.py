"""The least a grpc.aio server can do: bytes in, bytes out.

`python -m benchmarks.serving.echo ANSWER_BYTES` prints its port and serves.
"""

import asyncio
import sys
from typing import Any, Final

import grpc

SERVICE: Final = "benchmarks.Echo"
METHOD: Final = f"/{SERVICE}/Echo"


async def serve(size: int) -> None:
    """Answer every request with this many bytes."""
    answer = bytes(size)

    async def echo(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:  # noqa: ARG001 - gRPC's
        return answer

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    methods: dict[str, Any] = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
