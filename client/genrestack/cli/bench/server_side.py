"""What the server itself measured meanwhile, from its Prometheus metrics."""

import math
import re
from dataclasses import dataclass
from http.client import HTTPException
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

from genrestack._core.invalid import invalid

_NUMBER: Final = r"[-+]?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][-+]?[0-9]{1,3})?"
_SAMPLE: Final = re.compile(rf"^(genrestack_[a-z0-9_]+)(?:\{{[^}}\n]*\}})? ({_NUMBER})$", re.MULTILINE)
_SECONDS: Final = 5.0
"""For all of it: the time limit of a socket is one for each piece, and pieces may be small."""
_MOST_BYTES: Final = 16 * 2**20
_SHOWN_CHARACTERS: Final = 200

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
    fetched: SimpleQueue[bytes | Exception] = SimpleQueue()
    Thread(target=_fetch, args=(url, fetched), name="genrestack-metrics", daemon=True).start()
    try:
        answer = fetched.get(timeout=_SECONDS)
    except Empty:
        answer = TimeoutError("it takes too long")
    if isinstance(answer, Exception):
        reason = str(getattr(answer, "reason", None) or answer)[:_SHOWN_CHARACTERS]
        raise invalid("metrics", f"at {url} cannot be read: {reason}; start the server with --metrics-port") from answer
    totals: Totals = {}
    for name, value in _SAMPLE.findall(answer.decode(errors="replace")):
        totals[name] = totals.get(name, 0.0) + float(value)
    if not totals or not all(map(math.isfinite, totals.values())):
        raise invalid("metrics", f"at {url} are none of a GenreStack server; give that of its --metrics-port")
    return totals


class _NoRedirects(HTTPRedirectHandler):
    """Asks where it was told to, and nowhere else."""

    def redirect_request(self, *_: object) -> None:
        return None


def _fetch(url: str, fetched: "SimpleQueue[bytes | Exception]") -> None:
    try:
        with build_opener(ProxyHandler({}), _NoRedirects).open(url, timeout=_SECONDS) as answer:
            text = answer.read(_MOST_BYTES + 1)
    except HTTPError as error:
        error.close()
        fetched.put(OSError(f"the HTTP status is {error.code}"))
    except (OSError, HTTPException, ValueError) as error:
        fetched.put(error)
    else:
        fetched.put(text if len(text) <= _MOST_BYTES else OSError(f"it is longer than {_MOST_BYTES:,} bytes"))


def difference(before: Totals, after: Totals) -> ServerFigures:
    """Return what happened between two polls."""

    def grown(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    def mean(name: str) -> float | None:
        count = grown(f"{name}_count")
        found = grown(f"{name}_sum") / count if count > 0 else math.nan
        return found if math.isfinite(found) else None

    return ServerFigures(
        requests=round(grown("genrestack_requests_total")),
        executions=round(grown("genrestack_batch_rows_count")),
        rows_per_execution=mean("genrestack_batch_rows"),
        queue_seconds=mean("genrestack_queue_seconds"),
        compute_seconds=mean("genrestack_compute_seconds"),
        rejected=round(grown("genrestack_rejected_total")),
    )
