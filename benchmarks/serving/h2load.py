"""Calls by a generator in C, h2load of nghttp2 (Debian package nghttp2-client), where it is installed."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from typing import Final

PACKAGE: Final = "h2load (Debian package nghttp2-client)"
_HEADERS: Final = ("content-type: application/grpc", "te: trailers")
_PREFIX: Final = 5
_PATIENCE_S: Final = 300.0
_FINISHED: Final = re.compile(r"^finished in [^,]+, (?P<rate>[0-9.]+) req/s", re.MULTILINE)
_REQUESTS: Final = re.compile(r"^requests: (?P<total>\d+) total.* (?P<succeeded>\d+) succeeded", re.MULTILINE)
_DATA: Final = re.compile(r"^traffic: .*\((?P<data>\d+)\) data$", re.MULTILINE)


@dataclass(frozen=True)
class Calls:
    """What h2load says of a block of calls."""

    rate: float
    """Calls a second."""
    total: int
    succeeded: int
    """Answers with status 200, which gRPC's errors have too."""
    data_bytes: int
    """Bytes of all answers without headers, of which gRPC's errors have none."""

    def answered(self, size: int) -> float:
        """Return the share of calls that were answered with a message of this many bytes."""
        return min(self.succeeded, self.data_bytes / (_PREFIX + size)) / self.total


def installed() -> bool:
    """Whether the generator is there."""
    return shutil.which("h2load") is not None


def call(address: str, method: str, request: bytes, *, calls: int, at_once: int) -> Calls:
    """Call a method by one connection, as many calls at once; h2load waits for no order among them."""
    with tempfile.NamedTemporaryFile() as body:
        body.write(b"\0" + len(request).to_bytes(4, "big") + request)
        body.flush()
        command = ["h2load", "-n", str(calls), "-c", "1", "-m", str(at_once), "-d", body.name]
        for header in _HEADERS:
            command += ["-H", header]
        done = subprocess.run(
            [*command, f"http://{address}{method}"], check=True, capture_output=True, text=True, timeout=_PATIENCE_S
        )
    return parse(done.stdout)


def parse(text: str) -> Calls:
    """Read what h2load printed.

    Raises:
        ValueError: it is not what h2load prints.

    """
    finished, requests, data = (pattern.search(text) for pattern in (_FINISHED, _REQUESTS, _DATA))
    if finished is None or requests is None or data is None:
        raise ValueError(f"cannot read what h2load printed: {text[-500:]}")
    return Calls(float(finished["rate"]), int(requests["total"]), int(requests["succeeded"]), int(data["data"]))
