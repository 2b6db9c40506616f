"""The server with a count of its executions: `python -m benchmarks.serving.observed REPOSITORY [OPTION=VALUE …]`.

Prints its port; for each line on stdin it prints the executions so far, as JSON.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genrestack_server import Server, ServerConfig
from genrestack_server.telemetry.observer import Observer, Version


@dataclass
class Counted(Observer):
    """Counts executions."""

    executions: int = 0
    rows: int = 0
    requests: int = 0
    seconds: float = 0.0

    def executed(self, served: Version, rows: int, requests: int, seconds: float) -> None:  # noqa: ARG002 - its form
        """Count one."""
        self.executions += 1
        self.rows += rows
        self.requests += requests
        self.seconds += seconds


async def serve(repository: Path, options: dict[str, Any]) -> None:
    """Serve until stdin ends."""
    counted = Counted()
    config = ServerConfig(models_dir=repository, port=0, provider="cpu", **options)
    async with Server(config) as server:
        server.observers.add(counted)
        print(server.port, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(asdict(counted)), flush=True)


if __name__ == "__main__":
    given = (argument.split("=", 1) for argument in sys.argv[2:])
    asyncio.run(serve(Path(sys.argv[1]), {name: json.loads(value) for name, value in given}))
