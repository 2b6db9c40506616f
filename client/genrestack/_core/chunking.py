"""One input in as many messages as it needs, answered by one version of one model; nothing is sent from here."""

import re
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from genrestack._core.answers import MessageAnswer, join_answers, read_answer, rows_per_answer
from genrestack._core.connection.options import ClientOptions
from genrestack._core.inputs.rows import Rows
from genrestack._core.request import ModelSpec, pieces, predict_request, rows_per_message
from genrestack._core.status import is_too_large
from genrestack.errors import GenreStackError, InvalidInput, NotFound, Violation
from genrestack.prediction import Prediction
from genrestack_proto.v1 import prediction_pb2 as pb

IN_FLIGHT: Final = 4
# No more digits than any row has: the text is the server's.
_ROW: Final = re.compile(r"\b(rows\[|row )([0-9]{1,12})\b")


class PendingCall(Protocol):
    """A call that was begun and not waited for."""

    def cancel(self) -> object:
        """End it."""


_Pending = TypeVar("_Pending", bound=PendingCall)
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Send:
    """Send one message and wait for its answer, again and again while that helps."""

    request: pb.PredictRequest
    failed: GenreStackError | None = None
    """What an attempt made elsewhere has already met."""


@dataclass(frozen=True)
class Await(Generic[_Pending]):
    """Wait for the answer to a message that was sent ahead; do not repeat it."""

    call: _Pending


Plan: TypeAlias = Generator[Send | Await[_Pending], bytes, _Result]
"""What is to be done, one step at a time: the code that runs it sends each answer's bytes in, or throws the
GenreStackError."""


class SplitPlan(Generic[_Pending]):
    """The calls that one input takes, without the waiting for them.

    The first message goes alone: its answer says which version answers, to which the others are pinned, and how large
    answers are. The others go `IN_FLIGHT` at a time. A message over a limit that only the server knows is halved.

    Args:
        send: begins a call and returns at once.
        options: limits on a message.

    """

    def __init__(self, send: Callable[[pb.PredictRequest], _Pending], options: ClientOptions) -> None:
        self._send = send
        self._options = options

    def steps(self, rows: Rows, spec: ModelSpec, failed: GenreStackError | None = None) -> Plan[_Pending, Prediction]:
        """Ask for all rows; `failed` is what an attempt at the whole of them has already met."""
        try:
            return (yield from self._steps(rows, spec, failed))
        except _VersionGoneError:
            # A newer version took over between two messages: it answers the whole input.
            return (yield from self._steps(rows, spec, None))

    def _steps(self, rows: Rows, spec: ModelSpec, failed: GenreStackError | None) -> Plan[_Pending, Prediction]:
        size = rows_per_message(rows, self._options)
        answers = yield from self._answer(0, Rows(rows.matrix[:size], rows.names), spec, failed)
        if len(rows) > size:
            pinned = spec.pinned(answers[0].model, answers[0].version)
            # The first answer holds fewer rows than were sent at first if the server takes no more.
            fitting = min(len(answers[0]), rows_per_answer(answers[0], self._options))
            try:
                answers += yield from self._pipeline(rows, size, fitting, pinned)
            except NotFound as error:
                raise error if spec.version else _VersionGoneError(str(error)) from error
        return join_answers(answers, len(rows))

    def _answer(
        self, first: int, piece: Rows, spec: ModelSpec, failed: GenreStackError | None = None
    ) -> Plan[_Pending, list[MessageAnswer]]:
        try:
            answer = yield Send(predict_request(piece, spec), failed)
        except GenreStackError as error:
            if not (is_too_large(error) and len(piece) > 1):
                raise shifted(error, first) from error.__cause__
        else:
            return [read_answer(answer, len(piece), spec)]
        return (yield from self._halve(first, piece, spec))

    def _halve(self, first: int, piece: Rows, spec: ModelSpec) -> Plan[_Pending, list[MessageAnswer]]:
        size = (len(piece) + 1) // 2
        answers = yield from self._answer(first, Rows(piece.matrix[:size], piece.names), spec)
        spec = spec.pinned(answers[0].model, answers[0].version)
        for offset, part in pieces(piece, size, len(answers[0])):
            answers += yield from self._answer(first + offset, part, spec)
        return answers

    def _pipeline(self, rows: Rows, start: int, size: int, spec: ModelSpec) -> Plan[_Pending, list[MessageAnswer]]:
        answers: list[MessageAnswer] = []
        window: deque[tuple[int, Rows, _Pending]] = deque()
        try:
            for first, piece in pieces(rows, start, size):
                if len(window) == IN_FLIGHT:
                    answers += yield from self._await(*window.popleft(), spec)
                window.append((first, piece, self._send(predict_request(piece, spec))))
            while window:
                answers += yield from self._await(*window.popleft(), spec)
        finally:
            for _, _, call in window:
                call.cancel()
        return answers

    def _await(self, first: int, piece: Rows, call: _Pending, spec: ModelSpec) -> Plan[_Pending, list[MessageAnswer]]:
        try:
            answer = yield Await(call)
        except GenreStackError as error:
            failed = error
        else:
            return [read_answer(answer, len(piece), spec)]
        return (yield from self._answer(first, piece, spec, failed))


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
