"""A stream of batches: in order, bounded, and taken up again when the connection breaks."""

import queue
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import grpc

from genrestack._messages import Selection, predict_request, rows_per_message, to_prediction
from genrestack._options import ClientOptions
from genrestack._retry import Attempts, Deadline
from genrestack._rows import Rows, to_rows
from genrestack._status import from_rpc_error, from_status, is_too_large
from genrestack._stream_call import Start, StreamCall
from genrestack.errors import GenreStackError, InvalidInput, ProtocolError
from genrestack.prediction import Prediction
from genrestack_proto.v1 import prediction_pb2 as pb


class _Ask(Protocol):
    def __call__(
        self, rows: Rows, selection: Selection, deadline: Deadline, failed: GenreStackError | None = None
    ) -> Prediction: ...


@dataclass
class _Item:
    """A batch whose answer has not been taken yet."""

    number: int
    rows: Rows | None = None
    request: pb.PredictRequest | None = None
    """What went into the stream; None if the batch is faulty, or too large for one message and asked apart."""
    error: GenreStackError | None = None


class StreamRun:
    """One `predict_stream`: the items under way, and the call that carries them."""

    def __init__(
        self,
        *,
        start: Start,
        ask: _Ask,
        selection: Selection,
        options: ClientOptions,
        timeout: float | None,
        in_flight: int,
    ) -> None:
        self._start = start
        self._ask = ask
        self._selection = selection
        self._options = options
        self._timeout = timeout
        self._in_flight = in_flight
        self._pending: deque[_Item] = deque()
        self._taken = 0
        self._exhausted = False
        self._call: StreamCall | None = None

    def answers(
        self, batches: Iterable[Any], *, keep_errors: bool
    ) -> Generator[Prediction | GenreStackError, None, None]:
        """Yield each batch's answer in its turn; an item's error too if `keep_errors`, else raise it."""
        source = iter(batches)
        try:
            while self._pending or not self._exhausted:
                if self._wants_more():
                    self._advance(source)
                    continue
                outcome = self._settle_head()
                if isinstance(outcome, GenreStackError) and not keep_errors:
                    raise outcome
                yield outcome
        finally:
            if self._call is not None:
                self._call.close()

    def _wants_more(self) -> bool:
        # An answer that is there already is handed out before the next batch is fetched, which may take long.
        if self._exhausted or len(self._pending) >= self._in_flight:
            return False
        return not (self._pending and self._call is not None and self._call.has_answer())

    def _advance(self, source: Iterator[Any]) -> None:
        try:
            batch = next(source)
        except StopIteration:
            self._exhausted = True
            if self._call is not None:
                self._call.finish()
            return
        item = self._item(batch)
        self._taken += 1
        self._pending.append(item)
        if item.request is not None:
            self._call = self._call or StreamCall(self._start)
            self._call.send(item.request)

    def _item(self, batch: Any) -> _Item:
        try:
            rows = to_rows(batch)
            if len(rows) > rows_per_message(rows, self._options):
                return _Item(self._taken, rows)
        except InvalidInput as error:
            return _Item(self._taken, error=_in_batch(error, self._taken))
        return _Item(self._taken, rows, predict_request(rows, self._selection))

    def _settle_head(self) -> Prediction | GenreStackError:
        head = self._pending[0]
        answer = self._receive(head) if head.request is not None else None
        self._pending.popleft()
        if head.rows is None:
            return head.error or ProtocolError("a batch without rows and without error")
        try:
            return self._read(head.rows, answer)
        except GenreStackError as error:
            return _in_batch(error, head.number)

    def _read(self, rows: Rows, answer: pb.PredictStreamResponse | None) -> Prediction:
        outcome = answer.WhichOneof("outcome") if answer is not None else "none"
        if answer is None:
            return self._ask(rows, self._selection, Deadline(self._timeout))
        if outcome == "response":
            return to_prediction([answer.response], len(rows))
        if outcome == "error":
            failed = from_status(answer.error, self._options.target)
            return self._ask(rows, self._selection, Deadline(self._timeout), failed)
        raise ProtocolError(f"item {answer.index} of the stream came back with neither answer nor error")

    def _receive(self, head: _Item) -> pb.PredictStreamResponse | None:
        """Wait for the head's answer; None if the head turned out too large for the stream."""
        deadline = Deadline(self._timeout)
        attempts = Attempts(self._options.retry, deadline)
        while self._call is not None and head.request is not None:
            try:
                return self._call.receive(deadline.remaining())
            except queue.Empty:
                deadline.remaining()
            except grpc.RpcError as broken:
                self._resume(head, from_rpc_error(broken, self._options.target), attempts)
        return None

    def _resume(self, head: _Item, error: GenreStackError, attempts: Attempts) -> None:
        if is_too_large(error):
            head.request = None
        else:
            time.sleep(attempts.delay_after(error))
        if self._call is not None:
            self._call.close()
        self._call = StreamCall(self._start)
        for item in self._pending:
            if item.request is not None:
                self._call.send(item.request)
        if self._exhausted:
            self._call.finish()


def _in_batch(error: GenreStackError, number: int) -> GenreStackError:
    if not isinstance(error, InvalidInput):
        return error
    return InvalidInput(f"batch {number}: {error}", error.violations)
