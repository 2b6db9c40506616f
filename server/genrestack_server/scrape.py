"""One scrape of the metrics: the head of an HTTP request in, the whole response out."""

import gzip
import logging
import re
from http import HTTPStatus
from typing import Final

from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import Collector

PATH: Final = "/metrics"
LONGEST_HEAD: Final = 16 * 1024
"""Bytes of a request line and its headers."""
_TEXT: Final = "text/plain; charset=utf-8"
_REQUEST: Final = re.compile(r"([!-~]+) (?:https?://[^/?#\s]*)?(/[^?#\s]*|\*)?(?:\?\S*)? HTTP/([0-9])\.([0-9])")
_END: Final = re.compile(rb"\r?\n\r?\n")
_log = logging.getLogger(__name__)


def head_of(received: bytes) -> bytes | None:
    """Take request line and headers out of what was received; None while their end is missing."""
    found = _END.search(received := received.lstrip(b"\r\n"))
    return None if found is None else received[: found.start()]


def respond(head: bytes, collector: Collector) -> bytes:
    """Answer a request; the query is passed over, and every answer ends the connection.

    Args:
        head: request line and headers, without the empty line that ends them.
        collector: asked for the metrics.

    """
    line, *headers = (line.rstrip("\r") for line in head.decode("latin-1").split("\n"))
    request = _REQUEST.fullmatch(line)
    if request is None:
        return failure(HTTPStatus.BAD_REQUEST, "this is not an HTTP request")
    method, path, major, _ = request.groups()
    if major != "1":
        return failure(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "use HTTP/1.1")
    if path != PATH:
        return failure(HTTPStatus.NOT_FOUND, f"there is only {PATH} here")
    if method not in {"GET", "HEAD"}:
        return failure(HTTPStatus.METHOD_NOT_ALLOWED, "use GET", ("Allow", "GET, HEAD"))
    return _metrics(collector, _fields(headers), body=method == "GET")


def failure(status: HTTPStatus, text: str, *fields: tuple[str, str]) -> bytes:
    """Make the response to a request that gets no metrics."""
    return _response(status, f"{text}\n".encode(), [("Content-Type", _TEXT), *fields])


def _metrics(collector: Collector, asked: dict[str, str], *, body: bool) -> bytes:
    try:
        encoder, kind = choose_encoder(asked.get("accept", ""))
    except (TypeError, ValueError, LookupError):
        # A version of the format that is no version.
        encoder, kind = choose_encoder("")
    try:
        page = encoder(collector)
    except Exception:  # noqa: BLE001 - whatever it is, the reader gets a status and the log the cause
        _log.exception("the metrics could not be collected")
        return failure(HTTPStatus.INTERNAL_SERVER_ERROR, "the metrics could not be collected")
    fields = [("Content-Type", kind)]
    if gzip_accepted(asked.get("accept-encoding", "")):
        page = gzip.compress(page)
        fields.append(("Content-Encoding", "gzip"))
    return _response(HTTPStatus.OK, page, fields, body=body)


def _fields(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _response(status: HTTPStatus, page: bytes, fields: list[tuple[str, str]], *, body: bool = True) -> bytes:
    whole = [*fields, ("Content-Length", str(len(page))), ("Connection", "close")]
    head = "".join(f"{name}: {value}\r\n" for name, value in whole)
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode("latin-1") + (page if body else b"")
