"""The batches of a stream that are in flight: numbered, bounded by the code that fetches them, answered in order.

Neither sends nor waits: both clients' streams do that, each in its own way, and keep their account here.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from genrestack._core.answers import most_bytes, most_fields, parsed, read_prediction, to_prediction, verified
from genrestack._core.connection.options import ClientOptions
from genrestack._core.inputs.rows import Rows
from genrestack._core.request import ModelSpec, predict_request, rows_per_message
from genrestack._core.retry import Attempts
from genrestack._core.status import from_status, is_too_large
from genrestack.errors import (
    Cancelled,
    ClientClosed,
    GenreStackError,
    InvalidInput,
    PermissionDenied,
    ProtocolError,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from genrestack.prediction import Prediction
from genrestack_proto.v1 import prediction_pb2 as pb

COMPLETION_SECONDS: Final = 1.0
"""How long a server may take to end a stream whose last answer it has given."""
FATAL: Final = (Cancelled, ClientClosed, PermissionDenied, Unauthenticated, Unavailable, Unsupported)
"""What ends a stream of one call, and therefore one of unary calls too."""


@dataclass(frozen=True)
class StreamItem:
    """What came back as one item of a stream."""

    index: int
    """Number of the request that is due an answer, from 0 in this stream."""
    data: bytes
    """A `PredictStreamResponse`."""


Answer = StreamItem | bytes | GenreStackError
"""What became of a batch: an item of a stream, or the answer's bytes or the failure of a call of its own."""


@dataclass
class Item:
    """A batch whose answer has not been taken yet."""

    number: int
    rows: Rows | None = None
    """None if the batch is faulty."""
    request: pb.PredictRequest | None = None
    """What went into the stream; None if the batch is faulty, or asked apart: too large for one message, or with gaps
    that the model may not take."""
    error: InvalidInput | None = None


@dataclass(frozen=True)
class ResendUnary:
    """A batch that is asked by calls of its own, since the stream has no answer to it."""

    rows: Rows
    failed: GenreStackError | None = None
    """What became of it before."""


class Window:
    """Batches fetched and not yet answered, oldest first."""

    def __init__(
        self, spec: ModelSpec, options: ClientOptions, takes: Callable[[Rows, ModelSpec], bool] = lambda *_: True
    ) -> None:
        """Start without any.

        Args:
            spec: what is asked, and of which model.
            options: of the client.
            takes: whether rows may be sent at once; others are asked apart, where their gaps are checked.

        """
        self._takes = takes
        self._spec = spec
        self._options = options
        self._items: deque[Item] = deque()
        self._admitted = 0
        self.exhausted = False
        """Whether the last batch has been fetched."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def head(self) -> Item:
        """The batch whose answer is due."""
        return self._items[0]

    def admit(self, rows: Rows | InvalidInput) -> pb.PredictRequest | None:
        """Add the next batch, or what is wrong with it; return what is to be sent for it, if anything."""
        item = self._item(rows)
        self._admitted += 1
        self._items.append(item)
        return item.request

    def unanswered(self) -> Iterator[pb.PredictRequest]:
        """Yield what has to be sent again when a stream is resumed."""
        return (item.request for item in self._items if item.request is not None)

    def delay_after(self, error: GenreStackError, attempts: Attempts) -> float:
        """Seconds to wait before a broken stream is taken up again.

        Raises:
            GenreStackError: `error`, if that cannot help.

        """
        if is_too_large(error):
            self.head.request = None
            return 0.0
        return attempts.delay_after(error)

    def settle(self, answer: Answer | None) -> Prediction | ResendUnary:
        """Remove the head, with its answer if it was sent.

        Raises:
            InvalidInput: the batch is faulty; the message has no number yet, see `in_batch`.
            ProtocolError: the answer contradicts itself or the batch.

        """
        head = self._items.popleft()
        if head.rows is None:
            raise head.error or ProtocolError("a batch without rows and without error")
        if answer is None or isinstance(answer, GenreStackError):
            return ResendUnary(head.rows, answer)
        if isinstance(answer, StreamItem):
            return self._settle_item(head.rows, answer)
        return read_prediction(answer, len(head.rows), self._spec)

    def _settle_item(self, rows: Rows, item: StreamItem) -> Prediction | ResendUnary:
        answer = parsed(pb.PredictStreamResponse, item.data, most_bytes(len(rows)), most_fields(len(rows)))
        if answer.index != item.index:
            raise ProtocolError(f"item {answer.index} of the stream was answered where {item.index} was due")
        if answer.HasField("response"):
            return to_prediction(verified(answer.response, len(item.data), len(rows), self._spec))
        if answer.HasField("error") and answer.error.code:
            return ResendUnary(rows, from_status(answer.error, self._options.peer))
        raise ProtocolError(f"item {item.index} of the stream came back with neither answer nor error")

    def _item(self, rows: Rows | InvalidInput) -> Item:
        if isinstance(rows, InvalidInput):
            return Item(self._admitted, error=rows)
        try:
            if not self._takes(rows, self._spec) or len(rows) > rows_per_message(rows, self._options):
                return Item(self._admitted, rows)
        except InvalidInput as error:
            return Item(self._admitted, error=error)
        return Item(self._admitted, rows, predict_request(rows, self._spec))


class AnswerOrder:
    """Holds the answers of one stream to the number, order and size of what was sent.

    What arrives waits for its turn: without these bounds a server that answers without end would fill the memory.
    """

    def __init__(self) -> None:
        self._due: deque[int] = deque()
        self._arrived = 0

    def note_sent(self, rows: int) -> None:
        """Expect one more answer, to this many rows."""
        self._due.append(most_bytes(rows))

    def arrived(self, data: bytes) -> StreamItem:
        """Return what came with its number.

        Raises:
            ProtocolError: nothing was due, or it is too large.

        """
        if not self._due:
            raise ProtocolError(f"the server went on after {self._arrived} answers, with no more due")
        if len(data) > (most := self._due.popleft()):
            raise ProtocolError(
                f"item {self._arrived} of the stream has {len(data):,} bytes, where it may have {most:,}"
            )
        self._arrived += 1
        return StreamItem(self._arrived - 1, data)

    def ended(self) -> ProtocolError:
        """Make the error for an end before the last answer."""
        return ProtocolError(f"the server ended the stream after {self._arrived} answers, with more due")


def in_batch(error: GenreStackError, number: int) -> GenreStackError:
    """Return the error with the number of the batch that is at fault, where a batch is."""
    if not isinstance(error, InvalidInput):
        return error
    return InvalidInput(f"batch {number}: {error}", error.violations)
