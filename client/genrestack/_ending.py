"""What the other side said when it ended a stream."""

import asyncio
from typing import Any, Final

import grpc
from grpc import aio

_LOOKS: Final = 50
_SECONDS: Final = 0.01


class Ending:
    """How one grpc.aio stream ended, as the server put it.

    When a message is written into a stream that is over, grpc.aio replaces the status that came from the server by an
    INTERNAL of its own (github.com/grpc/grpc/issues/36066). The first one is therefore noted the moment it is set.
    """

    def __init__(self, call: aio.Call) -> None:
        self._call = call
        self._noted: grpc.RpcError | None = None
        call.add_done_callback(self._note)

    async def of(self, met: grpc.RpcError) -> grpc.RpcError | None:
        """Return the server's status for the one that a reader met; None if all was well."""
        if not _is_made_up(met):
            return met
        # Where the write failed first, the status is still on its way; if the connection never took the call, none is.
        for _ in range(_LOOKS):
            if self._noted is not None and not _is_made_up(self._noted):
                break
            await asyncio.sleep(_SECONDS)
            self._noted = await status_of(self._call)
        ended = self._noted or met
        return None if _code(ended) is grpc.StatusCode.OK else ended

    def _note(self, _: object) -> None:
        if self._noted is None or _is_made_up(self._noted):
            self._noted = _status_now(self._call)


async def status_of(call: aio.Call) -> grpc.RpcError:
    """Make the error of a call that is done."""
    return aio.AioRpcError(await call.code(), aio.Metadata(), await call.trailing_metadata(), await call.details())


def _status_now(call: aio.Call) -> grpc.RpcError | None:
    """Do as `status_of` without a turn of the loop, in which the status might be replaced: it is there, if at all."""
    reading = status_of(call)
    try:
        reading.send(None)
    except StopIteration as done:
        status: grpc.RpcError = done.value
        return status
    finally:
        reading.close()
    return None


def _is_made_up(error: grpc.RpcError) -> bool:
    return _code(error) is grpc.StatusCode.INTERNAL and "Internal error from Core" in (error.details() or "")


def _code(error: Any) -> grpc.StatusCode:
    code: grpc.StatusCode = error.code()
    return code
