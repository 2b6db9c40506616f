"""What the server itself measured meanwhile, from its Prometheus metrics."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from genrestack._invalid import invalid

_SAMPLE: Final = re.compile(r"^(genrestack_\w+)(?:\{[^}]*\})? ([-+0-9.eEinfNa]+)", re.MULTILINE)
_SECONDS: Final = 5.0
_MOST_BYTES: Final = 16 * 2**20

Totals = dict[str, float]


@dataclass(frozen=True)
class ServerFigures:
    """Means over the measured part; None where nothing was counted."""

    requests: int
    """Calls of every kind that it answered or refused, this client's or anybody's."""
    executions: int
    """Runs of the model."""
    rows_per_execution: float | None
    queue_seconds: float | None
    """Mean time a request waited."""
    compute_seconds: float | None
    """Mean time of an execution."""
    rejected: int
    """Requests the server refused."""


def scrape(url: str) -> Totals:
    """Read the metrics, each summed over its labels.

    Raises:
        InvalidInput: nothing answers there, or not with metrics of this server.

    """
    if not url.startswith(("http://", "https://")):
        raise invalid("metrics", f"is {url!r}; give a URL such as http://127.0.0.1:9464/metrics")
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=_SECONDS) as answer:
            text = answer.read(_MOST_BYTES).decode(errors="replace")
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise invalid("metrics", f"at {url} cannot be read: {reason}; start the server with --metrics-port") from error
    totals: Totals = {}
    for name, value in _SAMPLE.findall(text):
        totals[name] = totals.get(name, 0.0) + float(value)
    if not totals:
        raise invalid("metrics", f"at {url} are none of a GenreStack server; give that of its --metrics-port")
    return totals


def difference(before: Totals, after: Totals) -> ServerFigures:
    """Say what happened between two looks."""

    def grown(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    def mean(name: str) -> float | None:
        count = grown(f"{name}_count")
        return grown(f"{name}_sum") / count if count > 0 else None

    return ServerFigures(
        requests=round(grown("genrestack_requests_total")),
        executions=round(grown("genrestack_batch_rows_count")),
        rows_per_execution=mean("genrestack_batch_rows"),
        queue_seconds=mean("genrestack_queue_seconds"),
        compute_seconds=mean("genrestack_compute_seconds"),
        rejected=round(grown("genrestack_rejected_total")),
    )
