"""The load generator of all servers, gRPC or HTTP: `python -m benchmarks.peers.load.generator SPEC`.

Runs in an environment of its own. SPEC is a file of JSON: `protocol` ("grpc" or "http"), `address`, `method` (or the
path), `requests` in hexadecimal, HTTP's `headers` of each, and a `block`. Every caller is a coroutine with a connection
of its own, and waits for its answer before it calls again. Prints JSON: the seconds that the block took, and those of
each call.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.peers.measuring.budget import PATIENCE

Headers = dict[str, str]
Call = Callable[[bytes, Headers], Awaitable[object]]
_WARM_UP_S = 0.3
_TIMEOUT_S = 60.0
_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_send_message_length", 64 * 2**20),
]


async def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Open the connections, do a short block that is not counted, and then the block."""
    block = spec["block"]
    bodies = (bytes.fromhex(request) for request in spec["requests"])
    requests = list(zip(bodies, spec["headers"], strict=True))
    async with AsyncExitStack() as stack:
        connect = {"grpc": _grpc, "http": _http}[spec["protocol"]]
        calls = [await connect(stack, spec) for _ in range(block["callers"])]
        await _run(calls, requests, {**block, "seconds": _WARM_UP_S, "least": 0})
        return await _run(calls, requests, block)


async def _run(calls: list[Call], requests: list[tuple[bytes, Headers]], block: dict[str, Any]) -> dict[str, Any]:
    taken: list[float] = []
    begun = time.perf_counter()
    until, cap = begun + block["seconds"], begun + PATIENCE * block["seconds"]

    async def caller(number: int, call: Call) -> None:
        turn = number
        while (now := time.perf_counter()) < until or (len(taken) < block["least"] and now < cap):
            await call(*requests[turn % len(requests)])
            taken.append(time.perf_counter() - now)
            turn += len(calls)

    await asyncio.gather(*(caller(number, call) for number, call in enumerate(calls)))
    return {"seconds": time.perf_counter() - begun, "taken": taken}


async def _grpc(stack: AsyncExitStack, spec: dict[str, Any]) -> Call:
    import grpc

    channel = await stack.enter_async_context(grpc.aio.insecure_channel(spec["address"], options=_OPTIONS))
    await asyncio.wait_for(channel.channel_ready(), _TIMEOUT_S)
    method: Any = channel.unary_unary(spec["method"])

    async def call(request: bytes, headers: Headers) -> object:  # noqa: ARG001 - one signature for both
        return await method(request, timeout=_TIMEOUT_S)

    return call


async def _http(stack: AsyncExitStack, spec: dict[str, Any]) -> Call:
    import aiohttp

    limits = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    session = await stack.enter_async_context(aiohttp.ClientSession(timeout=limits))
    url = f"http://{spec['address']}{spec['method']}"

    async def call(request: bytes, headers: Headers) -> object:
        async with session.post(url, data=request, headers=headers) as response:
            response.raise_for_status()
            return await response.read()

    return call


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))))
