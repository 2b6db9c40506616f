"""The page's server: its files, the model's card, and songs that are answered while they are being read.

Songs stay on this machine: an upload lies in a file that is removed when its answer has been sent, and only features go
to the model's server. Nothing is fetched from elsewhere, no script stands in the page, and another site's page can
neither read from here nor post to here.
"""

import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from anyio import CancelScope, Semaphore
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genrestack.errors import GenreStackError
from genrestack.web.card import model_card
from genrestack.web.song_events import Event, song_events
from genrestack_common.text import printable

if TYPE_CHECKING:
    from genrestack import Client, ModelInfo

_STATIC: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/drawing.js": ("drawing.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_SENT_BY_PAGE: Final = "x-genrestack-page"
"""A header that a form or an image of another site cannot send, and a script of it only if we allowed it."""
_NAME: Final = "x-file-name"
_AT_ONCE: Final = 2
"""Songs that are read at the same time; others wait."""
_LONGEST_NAME: Final = 400

Answer = Callable[[Request], Awaitable[Response]]


def make_app(client: "Client", info: "ModelInfo", *, hosts: list[str], max_upload_mib: int) -> Starlette:
    """Make the page's application.

    Args:
        client: asks the model; the caller closes it.
        info: the model, with its features; one of songs.
        hosts: names by which a browser may reach the page, without port; `["*"]` for any.
        max_upload_mib: the largest recording, MiB.

    """
    limiter = Semaphore(_AT_ONCE)

    async def model(_: Request) -> Response:
        return JSONResponse(model_card(info))

    async def song(request: Request) -> Response:
        if _SENT_BY_PAGE not in request.headers:
            return _refusal(403, "songs are sent by the page itself; open it in a browser")
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > max_upload_mib << 20:
            return _refusal(413, _too_large(max_upload_mib))
        folder = tempfile.TemporaryDirectory(prefix="genrestack-web-", ignore_cleanup_errors=True)
        try:
            path = Path(folder.name) / f"song{_suffix(request.headers.get(_NAME, ''))}"
            if not await _received(request, path, max_upload_mib << 20):
                folder.cleanup()
                return _refusal(413, _too_large(max_upload_mib))
        except BaseException:
            folder.cleanup()
            raise

        async def lines() -> AsyncIterator[bytes]:
            with folder:
                async with limiter:
                    async for event in _events(client, info, path):
                        yield json.dumps(event, allow_nan=False).encode() + b"\n"

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    routes = [Route(path, _static(*what)) for path, what in _STATIC.items()]
    routes += [Route("/api/model", model), Route("/api/songs", song, methods=["POST"])]
    middleware = [Middleware(SafeHeaders), Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)]
    return Starlette(routes=routes, middleware=middleware)


class SafeHeaders:
    """Adds to every answer what keeps a browser from doing more with it than the page needs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; one that its browser has given up ends without a word."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(k.lower().encode(), v.encode()) for k, v in _HEADERS.items()]
            await send(message)

        with suppress(ClientDisconnect):
            await self._app(scope, receive, with_headers)


def _static(name: str, media_type: str) -> Answer:
    content = files("genrestack.web").joinpath("static", name).read_bytes()

    async def answer(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return answer


async def _received(request: Request, path: Path, most: int) -> bool:
    """Write what is sent to a file; return whether it was all of it, and not more than the limit."""
    size = 0
    with path.open("wb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                return False
            await run_in_threadpool(file.write, chunk)
    return True


async def _events(client: "Client", info: "ModelInfo", path: Path) -> AsyncIterator[Event]:
    """Step through a song in threads; what goes wrong with it becomes the last event."""
    events = song_events(client, info, path)
    try:
        while (event := await run_in_threadpool(_step, events)) is not None:
            yield event
    except GenreStackError as error:
        yield {"event": "error", "message": _without_path(str(error), path)}
    except OSError:
        yield {"event": "error", "message": "the recording could not be kept while it is read; is the disk full?"}
    finally:
        # The browser may have gone: what was opened is closed all the same.
        with CancelScope(shield=True):
            await run_in_threadpool(events.close)


def _step(events: Iterator[Event]) -> Event | None:
    return next(events, None)


def _without_path(message: str, path: Path) -> str:
    """Return a message without the name of a file that only this process knows."""
    return printable(message.replace(f"{path}: ", "").replace(str(path), "the file"))


def _suffix(name: str) -> str:
    """Return how the file's name ends, if that is the kind of end that recordings have."""
    suffix = Path(name[-_LONGEST_NAME:]).suffix
    return suffix if suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= 6 else ""


def _too_large(mib: int) -> str:
    return f"the file is larger than {mib} MiB; send a part of it, or start the page with a larger --max-upload-mib"


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"event": "error", "message": message}, status_code=status)
