"""The asynchronous client."""
# ruff: noqa: ASYNC109 - a timeout here covers retries too and ends in DeadlineExceeded, as in the sync client

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from contextlib import aclosing
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, overload

import numpy as np
import numpy.typing as npt

from genrestack._async.model_calls import AsyncModelCalls
from genrestack._async.stream import AsyncStreamRun
from genrestack._async.tasks import each_in_thread, entered_in_thread
from genrestack._core.base_client import check_stream
from genrestack._core.connection import options as defaults
from genrestack._core.connection.credentials import TLS, Token
from genrestack._core.connection.options import NOT_GIVEN, ClientOptions, KeepaliveOptions, LoadBalancing, Timeout
from genrestack._core.inputs.columns import names_at_fault, select
from genrestack._core.inputs.named_rows import read_rows
from genrestack._core.inputs.rows import Rows, to_rows
from genrestack._core.request import ModelSpec, Priority
from genrestack._core.retry import Deadline, RetryOptions
from genrestack.errors import GenreStackError, InvalidInput, Unsupported
from genrestack.prediction import Prediction
from genrestack.songs.song_prediction import SongPrediction


class AsyncClient(AsyncModelCalls):
    """Asks a GenreStack server from asyncio; safe to share among the tasks of one event loop.

    Connects when first used. Every failure is a `genrestack.errors.GenreStackError`.
    Cancelling the task that awaits a call cancels the call. Rows are checked and packed in the event loop's own thread.

    Args:
        target: HOST:PORT; `dns:///NAME:PORT` for servers behind one name; or a list of IP addresses with ports.
        timeout: seconds for a whole call, retries included; None for no limit. Each call can have its own.
        tls: whether the connection is encrypted; a `TLS` says whom to trust and by what to be known.
        token: bearer token sent with every call; or a function that is asked for one before each call, which has to
            answer at once.
        token_file: file that holds it instead; read again while the client lives.
        allow_plaintext_token: send a token beyond this machine without TLS all the same.
        load_balancing: None asks all servers in turn (`round_robin`) if the target has a scheme or is a list, else one.
        keepalive: how a dead connection is found out; None: only by the timeouts of calls.
        max_message_bytes: largest message sent or taken; larger inputs travel in several.
        max_message_rows: rows in one message at most.
        retry: when a call is tried again.
        channel_options: further gRPC channel arguments; they win over the client's own.

    Raises:
        InvalidInput: a setting cannot be used, or a file of `tls` or the token cannot be read.

    """

    def __init__(
        self,
        target: str | Sequence[str] = defaults.DEFAULT_TARGET,
        *,
        timeout: float | None = defaults.DEFAULT_TIMEOUT,
        tls: TLS | bool = False,
        token: Token | None = None,
        token_file: str | PathLike[str] | None = None,
        allow_plaintext_token: bool = False,
        load_balancing: LoadBalancing | None = None,
        keepalive: KeepaliveOptions | None = KeepaliveOptions(),  # noqa: B008 - frozen
        max_message_bytes: int = defaults.DEFAULT_MESSAGE_BYTES,
        max_message_rows: int = defaults.DEFAULT_MESSAGE_ROWS,
        retry: RetryOptions = RetryOptions(),  # noqa: B008 - frozen
        channel_options: Iterable[tuple[str, str | int]] = (),
    ) -> None:
        options = ClientOptions(
            target=target,
            timeout=timeout,
            tls=tls,
            token=token,
            token_file=token_file,
            allow_plaintext_token=allow_plaintext_token,
            load_balancing=load_balancing,
            keepalive=keepalive,
            max_message_bytes=max_message_bytes,
            max_message_rows=max_message_rows,
            retry=retry,
            channel_options=tuple(channel_options),
        )
        super().__init__(options)

    async def predict(
        self,
        rows: Any,
        model: str | None = None,
        version: int | None = None,
        base: bool = False,  # noqa: FBT001, FBT002 - the published signature
        timeout: Timeout = NOT_GIVEN,
        *,
        neighbors: int = 0,
        novelty: bool = False,
        strict: bool = False,
        priority: Priority | None = None,
        request_id: str | None = None,
    ) -> Prediction:
        """Ask for labels and probabilities.

        Args:
            rows: unscaled features: an array of shape (n, f) of any numeric dtype, a DataFrame, a list of rows, a dict
                by feature name (of numbers: one row; of sequences: columns) or a list of such dicts. Where there are
                names, the model's columns are taken by them, in any order, and other columns are left out; the first
                time, the model is asked for its columns. Without names the order is the model's own. NaN and None are
                missing values, which some models take in some columns.
            model: name of the model; None is the server's default.
            version: None is the newest one that is ready. An input that travels in several messages is answered by
                one version all the same.
            base: also ask what each base estimator says.
            timeout: seconds, retries included; None for no limit.
            neighbors: also name this many nearest training rows of each row, at most 10; for models exported with them.
            novelty: also tell how far each row is from the training rows, where the model knows what is usual.
            strict: refuse columns that the model does not take.
            priority: `high` is computed before what is `normal`.
            request_id: how the server's log and answers call this request; None: the server makes one up.

        Raises:
            InvalidInput: the rows cannot be used; the message names row (from 0) and feature. Of rows with names, it
                tells all that is wrong: columns missing, columns without numbers, rows with NaN.
            NotFound: no such model or version.
            FailedPrecondition: the model cannot name nearest training rows.
            Unavailable, DeadlineExceeded, ResourceExhausted: try later.
            Unauthenticated, PermissionDenied: the server wants a token, or another one.
            GenreStackError: every other failure.

        """
        deadline = self._deadline(timeout)
        spec = ModelSpec.of(
            model,
            version,
            base=base,
            neighbors=neighbors,
            novelty=novelty,
            priority=priority,
            request_id=request_id,
        )
        selected = await self._select(rows, spec, deadline, strict=strict)
        if isinstance(selected, InvalidInput):
            raise selected
        try:
            return await self._predict(selected, spec, deadline)
        except InvalidInput as error:
            if not selected.names or not names_at_fault(error) or not self._known_models.forget(spec):
                raise
        # Another version answers since the model was asked for its columns.
        selected = await self._select(rows, spec, deadline, strict=strict)
        if isinstance(selected, InvalidInput):
            raise selected
        return await self._predict(selected, spec, deadline)

    async def predict_proba(
        self,
        rows: Any,
        model: str | None = None,
        version: int | None = None,
        timeout: Timeout = NOT_GIVEN,
        *,
        strict: bool = False,
    ) -> npt.NDArray[np.float32]:
        """Return probabilities alone, float32 of shape (n, k), as the estimator itself would; raises as `predict`."""
        prediction = await self.predict(rows, model=model, version=version, timeout=timeout, strict=strict)
        return prediction.probabilities

    @overload
    def predict_stream(
        self,
        batches: Iterable[Any] | AsyncIterable[Any],
        *,
        model: str | None = None,
        version: int | None = None,
        base: bool = False,
        timeout: Timeout = NOT_GIVEN,
        neighbors: int = 0,
        novelty: bool = False,
        in_flight: int = 8,
        on_error: Literal["raise"] = "raise",
        strict: bool = False,
        priority: Priority | None = None,
        request_id: str | None = None,
    ) -> AsyncGenerator[Prediction, None]: ...

    @overload
    def predict_stream(
        self,
        batches: Iterable[Any] | AsyncIterable[Any],
        *,
        model: str | None = None,
        version: int | None = None,
        base: bool = False,
        timeout: Timeout = NOT_GIVEN,
        neighbors: int = 0,
        novelty: bool = False,
        in_flight: int = 8,
        on_error: Literal["return"],
        strict: bool = False,
        priority: Priority | None = None,
        request_id: str | None = None,
    ) -> AsyncGenerator[Prediction | GenreStackError, None]: ...

    def predict_stream(
        self,
        batches: Iterable[Any] | AsyncIterable[Any],
        *,
        model: str | None = None,
        version: int | None = None,
        base: bool = False,
        timeout: Timeout = NOT_GIVEN,
        neighbors: int = 0,
        novelty: bool = False,
        in_flight: int = 8,
        on_error: Literal["raise", "return"] = "raise",
        strict: bool = False,
        priority: Priority | None = None,
        request_id: str | None = None,
    ) -> AsyncGenerator[Prediction | GenreStackError, None]:
        """Ask for one batch after the other and yield the answers in the same order.

        `batches` is advanced in a task of its own, at most `in_flight` batches ahead of the answers taken.
        If the connection breaks, what is unanswered is asked again. Closing the generator ends the call.
        A loop that may be left early belongs into `async with aclosing(client.predict_stream(...)) as answers:`.

        Args:
            batches: each as `rows` of `predict`; may be endless, and asynchronous.
            model: as in `predict`.
            version: as in `predict`; with None, a new version may take over between two batches.
            base: as in `predict`.
            timeout: seconds to wait for one answer, retries included; None for no limit. There is none on the whole.
            neighbors: as in `predict`.
            novelty: as in `predict`.
            in_flight: batches asked and not yet answered at most.
            on_error: "raise" ends the stream at the first batch that fails; "return" yields the error in its place and
                goes on. A failure of the stream as a whole is raised either way, as is what `batches` raises.
            strict: as in `predict`, of every batch.
            priority: as in `predict`, of every batch.
            request_id: as in `predict`, of the whole stream.

        Raises:
            GenreStackError: as `predict`.

        """
        check_stream(in_flight, on_error)
        seconds = self._deadline(timeout).timeout
        spec = ModelSpec.of(
            model,
            version,
            base=base,
            neighbors=neighbors,
            novelty=novelty,
            priority=priority,
            request_id=request_id,
        )
        # A stream that is long may see versions with other columns; this one asks at its first batch with names.
        self._known_models.forget(spec)

        async def select_batch(batch: Any) -> Rows | InvalidInput:
            return await self._select(batch, spec, Deadline(seconds), strict=strict, gaps_apart=True)

        run = AsyncStreamRun(
            select=select_batch,
            open_transport=self._open_transport,
            disable_streaming=self._disable_streaming,
            predict=self._predict,
            translate=self._error,
            spec=spec,
            options=self._options,
            timeout=seconds,
            in_flight=in_flight,
            takes=self._known_models.take,
        )
        return run.answers(batches, keep_errors=on_error == "return")

    async def classify_song(
        self,
        path: str | Path,
        *,
        model: str | None = None,
        version: int | None = None,
        base: bool = False,
        window: float = 3.0,
        hop: float | None = None,
        timeout: Timeout = NOT_GIVEN,
        neighbors: int = 0,
    ) -> SongPrediction:
        """Ask for the label of a whole recording, window by window while it is being read.

        Its probabilities are the mean over all windows, and its label the likeliest by that. Features outside the
        ranges the model was trained on are told in `warnings`, and so is a song that is unlike anything in the
        training, by models that know how to tell. Of the recording itself, only some windows are in memory at a time.
        It is read, and its features are computed, in threads.

        Args:
            path: wav, flac, ogg or mp3; anything else through ffmpeg where that is installed.
            model: name of a model of the 57 features of `genrestack features`, or some of them; None is the server's
                default.
            version: None is the newest one that is ready; all windows are answered by one version.
            base: also ask what each base estimator says.
            window: length of a window, s; that of the rows the model was trained on serves it best.
            hop: from one window's beginning to the next one's, s; None: one after the other.
            timeout: seconds to wait for one answer, retries included; None for no limit. There is none on the whole.
            neighbors: also name this many training rows that the song sounds like, at most 10; as in `predict`.

        Raises:
            InvalidInput: the file is not a recording, is silent or shorter than one window; the model is not for songs.
            ModuleNotFoundError: the extra `audio` is not installed; the message says how to.
            GenreStackError: as `predict`.

        """
        from genrestack.songs.recording import open_song

        info = await self.model(model, version, timeout)
        async with entered_in_thread(open_song(path, info, window=window, hop=hop)) as song:
            windows = each_in_thread(song.batches())
            answers = self.predict_stream(
                windows,
                model=info.name,
                version=info.version,
                base=base,
                timeout=timeout,
                neighbors=neighbors,
                novelty=True,
            )
            async with aclosing(answers):
                async for prediction in answers:
                    song.add(prediction)
            return song.result()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _select(
        self, rows: Any, spec: ModelSpec, deadline: Deadline, *, strict: bool, gaps_apart: bool = False
    ) -> Rows | InvalidInput:
        """Check rows, and choose the model's columns where they have names; return what is wrong with them, not raise.

        The public method raises it, so that the traceback ends there.
        With `gaps_apart`, gaps in rows without names are left to the call by which a stream asks for these rows apart.
        """
        try:
            found = read_rows(rows)
            if isinstance(found, Rows):
                if not gaps_apart and not self._known_models.take(found, spec):
                    await self._check_gaps(found, spec, deadline)
                return found
            info = self._known_models.find(spec)
            if info is None:
                info = await self.model(spec.model or None, spec.version or None, deadline.remaining())
            return select(found, info, strict=strict)
        except Unsupported:
            # The server does not list the model's columns: all of them are sent, and the server rejects what is wrong.
            return to_rows(rows)
        except InvalidInput as error:
            return error.with_traceback(None)
