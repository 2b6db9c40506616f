"""One input in as many messages as it needs, answered by one version of one model."""

import re
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import grpc

from genrestack._messages import Selection, pieces, predict_request, rows_per_answer, rows_per_message, to_prediction
from genrestack._options import ClientOptions
from genrestack._retry import Deadline
from genrestack._rows import Rows
from genrestack._status import is_too_large
from genrestack.errors import Cancelled, GenreStackError, InvalidInput, NotFound, Violation
from genrestack.prediction import Prediction
from genrestack_proto.v1 import prediction_pb2 as pb

IN_FLIGHT: Final = 4
_ROW: Final = re.compile(r"\b(rows\[|row )(\d+)\b")


class _Future(Protocol):
    def result(self) -> pb.PredictResponse: ...

    def cancel(self) -> object: ...


_Sent = tuple[int, Rows, _Future]


class _Method(Protocol):
    def __call__(self, request: pb.PredictRequest, /, *, timeout: float | None = None) -> pb.PredictResponse: ...

    def future(self, request: pb.PredictRequest, /, *, timeout: float | None = None) -> _Future: ...


class _Call(Protocol):
    def __call__(
        self, method: _Method, request: pb.PredictRequest, deadline: Deadline, failed: GenreStackError | None = None
    ) -> pb.PredictResponse: ...


class SplitCalls:
    """The calls made for one input.

    The first message goes alone: its answer says which version answers, to which the others are pinned, and how large
    answers are. The others go `IN_FLIGHT` at a time. A message over a limit that only the server knows is halved.
    """

    def __init__(
        self,
        method: _Method,
        call: _Call,
        translate: Callable[[grpc.RpcError], GenreStackError],
        options: ClientOptions,
        deadline: Deadline,
    ) -> None:
        self._method = method
        self._call = call
        self._translate = translate
        self._options = options
        self._deadline = deadline

    def predict(self, rows: Rows, selection: Selection, failed: GenreStackError | None = None) -> Prediction:
        """Ask for all rows; `failed` is what an attempt at the whole of them has already met."""
        try:
            return self._predict(rows, selection, failed)
        except _VersionGoneError:
            # A newer version took over between two messages: it answers the whole input.
            return self._predict(rows, selection, None)

    def _predict(self, rows: Rows, selection: Selection, failed: GenreStackError | None) -> Prediction:
        size = rows_per_message(rows, self._options)
        answers = self._ask(0, Rows(rows.matrix[:size], rows.names), selection, failed)
        if len(rows) > size:
            pinned = selection.pinned(answers[0])
            # The first answer holds fewer rows than were sent at first if the server takes no more.
            fitting = min(len(answers[0].labels) or 1, rows_per_answer(answers[0], self._options))
            try:
                answers += self._pipeline(rows, size, fitting, pinned)
            except NotFound as error:
                raise error if selection.version else _VersionGoneError(str(error)) from error
        return to_prediction(answers, len(rows))

    def _ask(
        self, first: int, piece: Rows, selection: Selection, failed: GenreStackError | None = None
    ) -> list[pb.PredictResponse]:
        try:
            return [self._call(self._method, predict_request(piece, selection), self._deadline, failed)]
        except GenreStackError as error:
            if not (is_too_large(error) and len(piece) > 1):
                raise shifted(error, first) from error.__cause__
        return self._halve(first, piece, selection)

    def _halve(self, first: int, piece: Rows, selection: Selection) -> list[pb.PredictResponse]:
        size = (len(piece) + 1) // 2
        answers = self._ask(first, Rows(piece.matrix[:size], piece.names), selection)
        selection = selection.pinned(answers[0])
        for offset, part in pieces(piece, size, len(answers[0].labels) or 1):
            answers += self._ask(first + offset, part, selection)
        return answers

    def _pipeline(self, rows: Rows, start: int, size: int, selection: Selection) -> list[pb.PredictResponse]:
        answers: list[pb.PredictResponse] = []
        window: deque[_Sent] = deque()
        try:
            for first, piece in pieces(rows, start, size):
                if len(window) == IN_FLIGHT:
                    answers += self._settle(*window.popleft(), selection)
                window.append((first, piece, self._send(predict_request(piece, selection))))
            while window:
                answers += self._settle(*window.popleft(), selection)
        finally:
            for _, _, future in window:
                future.cancel()
        return answers

    def _send(self, request: pb.PredictRequest) -> _Future:
        return self._method.future(request, timeout=self._deadline.remaining())

    def _settle(self, first: int, piece: Rows, future: _Future, selection: Selection) -> list[pb.PredictResponse]:
        try:
            return [future.result()]
        except grpc.RpcError as error:
            failed = self._translate(error)
        except grpc.FutureCancelledError as error:
            raise Cancelled("the client was closed during the call") from error
        return self._ask(first, piece, selection, failed)


class _VersionGoneError(NotFound):
    pass


def shifted(error: GenreStackError, offset: int) -> GenreStackError:
    """Return the error with its rows counted from the start of the whole input, not of one message."""
    if not isinstance(error, InvalidInput) or not offset:
        return error

    def moved(text: str) -> str:
        return _ROW.sub(lambda match: f"{match[1]}{int(match[2]) + offset}", text)

    violations = [Violation(moved(v.field), moved(v.description)) for v in error.violations]
    return InvalidInput(moved(str(error)), violations)
