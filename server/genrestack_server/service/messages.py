"""What every front end does with the bytes of a message."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from google.protobuf.message import DecodeError, Message

from genrestack_common.text import counted
from genrestack_proto.wire import holds_more_fields
from genrestack_server.errors import InvalidInput, RequestError

MAX_FIELDS: Final = 2**17
"""Most names, tensors, parameters and other fields of one request; each of two bytes takes up to 100 once parsed."""
# Packing and unpacking this much takes less than a millisecond, or 30 of them where every field has two bytes: beyond
# it, other callers would feel the event loop stop.
LARGE_BYTES: Final = 2**18
"""A message of more bytes is unpacked, and its answer packed, in another thread."""

# One thread for each loop: a message of empty parts is 44 times as large once it is parsed, and two would not be parsed
# sooner.
_threads: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, ThreadPoolExecutor]] = WeakKeyDictionary()

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Message = TypeVar("_Message", bound=Message)


def parse_request(kind: type[_Message], data: bytes) -> _Message:
    """Parse a request.

    gRPC's own parsing would end the call as UNKNOWN, with the text of a Python exception.

    Raises:
        InvalidInput: the bytes are not such a message, or one of more fields than any request has.

    """
    check_fields(data, kind)
    try:
        return kind.FromString(data)
    except DecodeError as error:
        text = (
            f"cannot parse the request as {kind.DESCRIPTOR.full_name} ({counted(len(data), 'byte')}); "
            "make it with the service's proto"
        )
        raise InvalidInput.of("request", text) from error


def check_fields(data: bytes, kind: type[Message]) -> None:
    """Refuse a message of more fields than any request has, before it is parsed.

    Raises:
        InvalidInput: there are more than `MAX_FIELDS`.

    """
    if holds_more_fields(data, kind, MAX_FIELDS):
        raise InvalidInput.of(
            "request",
            f"it has more than {MAX_FIELDS:,} fields; send numbers as raw bytes, and each name once",
        )


async def run_in_thread(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run work on a large message in another thread, and return its result."""
    loop = asyncio.get_running_loop()
    thread = _threads.get(loop)
    if thread is None:
        thread = _threads[loop] = ThreadPoolExecutor(1, thread_name_prefix="genrestack-large")
    return await loop.run_in_executor(thread, _alone, functools.partial(work, *args, **kwargs))


def end_thread(loop: asyncio.AbstractEventLoop) -> None:
    """End the thread of a loop that is about to end."""
    if (thread := _threads.pop(loop, None)) is not None:
        thread.shutdown(wait=False)


def _alone(work: Callable[[], _T]) -> _T:
    try:
        return work()
    except RequestError as error:
        # Its frames hold the message, parsed, until the loop comes to it.
        raise error.with_traceback(None) from error.__cause__
