"""Many callers at once, in one process of their own: `python -m benchmarks.serving.callers SPEC`.

Each contestant has a channel; several coroutines call it, each waiting for its answer before it calls again. SPEC is
JSON: `callers`, `seconds` of a block, `rounds`, and for each of `contestants` its `name`, `address`, `method` and the
`request` in hexadecimal; `-` reads it from stdin. The contestants take turns. Prints JSON: for each name its blocks.
"""

import asyncio
import json
import sys
import time
from typing import Any

import grpc

_WARM_UP_S = 0.3


async def _caller(call: Any, request: bytes, until: float, taken: list[float]) -> None:
    while (begun := time.perf_counter()) < until:
        await call(request, timeout=60)
        taken.append(time.perf_counter() - begun)


async def _block(call: Any, request: bytes, callers: int, seconds: float) -> dict[str, Any]:
    """Run all callers for `seconds`; return the times of their calls."""
    await _load(call, request, callers, _WARM_UP_S)
    begun = time.perf_counter()
    taken = await _load(call, request, callers, seconds)
    return {"seconds": time.perf_counter() - begun, "taken": taken}


async def _load(call: Any, request: bytes, callers: int, seconds: float) -> list[float]:
    taken: list[float] = []
    until = time.perf_counter() + seconds
    await asyncio.gather(*(_caller(call, request, until, taken) for _ in range(callers)))
    return taken


async def measure(spec: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Measure all contestants in turns."""
    blocks: dict[str, list[dict[str, Any]]] = {contestant["name"]: [] for contestant in spec["contestants"]}
    for _ in range(spec["rounds"]):
        for contestant in spec["contestants"]:
            async with grpc.aio.insecure_channel(contestant["address"]) as channel:
                await channel.channel_ready()
                call: Any = channel.unary_unary(contestant["method"])
                request = bytes.fromhex(contestant["request"])
                block = await _block(call, request, spec["callers"], spec["seconds"])
                blocks[contestant["name"]].append(block)
    return blocks


if __name__ == "__main__":
    text = sys.stdin.read() if sys.argv[1] == "-" else sys.argv[1]
    print(json.dumps(asyncio.run(measure(json.loads(text)))))
