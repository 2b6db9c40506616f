"""Steady load that believes nothing: every answer is compared, every refusal is counted, every wait is timed."""

import random
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import grpc
import numpy as np
import numpy.typing as npt
from support.waiting import GUARD_S

from genrestack import Client, Prediction
from genrestack.errors import GenreStackError
from genrestack_bundle import ComposedSession, open_bundle
from genrestack_proto.matrix import from_matrix, to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest, PredictResponse
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

TOLERANCE = 1e-6
POOL = 96
SIZES = (1, 1, 1, 1, 2, 3, 7, 16, 40)
# What a caller on a very busy machine may notice late; a call that hangs takes for ever.
LATE_S = 100.0

Matrix = npt.NDArray[np.float32]


@dataclass
class Expected:
    """What each version answers to each row of a pool, every row run alone through the composed graph."""

    pool: Matrix
    answers: dict[tuple[str, int], Matrix] = field(default_factory=dict)

    def learn(self, folder: Path) -> None:
        """Run the pool through the version in a folder `<name>/<version>`."""
        bundle = open_bundle(folder)
        session = ComposedSession(bundle.compose(), part_names=bundle.part_names, provider="cpu", threads=1)
        alone = [session.run(self.pool[row : row + 1]).probabilities for row in range(len(self.pool))]
        self.answers[folder.parent.name, int(folder.name)] = np.concatenate(alone)

    def difference(self, response: PredictResponse | Prediction, begin: int, rows: int) -> float:
        """Largest difference between an answer and what its version answers alone; infinite if the shape is wrong."""
        given = response.probabilities
        probabilities = given if isinstance(given, np.ndarray) else from_matrix(given)
        expected = self.answers[response.model, response.version][begin : begin + rows]
        if probabilities.shape != expected.shape or not np.isfinite(probabilities).all():
            return float("inf")
        labels = [response.classes[index] for index in expected.argmax(axis=1)]
        return float(np.abs(probabilities - expected).max()) if labels == list(response.labels) else float("inf")


@dataclass
class Tally:
    """What callers saw."""

    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    versions: Counter[int] = field(default_factory=Counter)
    worst: float = 0.0
    """Largest difference of an answer."""
    late: float = 0.0
    """Seconds by which the slowest call passed its deadline; below 0 if none did."""
    times: list[tuple[float, float]] = field(default_factory=list)
    """Of each answered call: when it began, and how long it took, in seconds."""

    def line(self) -> str:
        """Return one line."""
        refused = ", ".join(f"{count:,} {code}" for code, count in sorted(self.refused.items())) or "none refused"
        return f"{self.answered:,} answered (largest difference {self.worst:.1e}), {refused}"

    def check(self, *allowed: str) -> None:
        """Fail on a wrong answer, a status that is not among those allowed, or a call that hung."""
        assert self.answered, self.line()
        assert self.worst <= TOLERANCE, self.line()
        assert set(self.refused) <= set(allowed), self.line()
        assert self.late < LATE_S, f"a call took {self.late:.1f} s longer than its deadline"


Connection = TypeVar("Connection", bound=AbstractContextManager[Any])


class Callers(ABC, Generic[Connection]):
    """Callers in a closed loop, every fourth of them streaming, until told to stop."""

    def __init__(
        self, connect: Callable[[], Connection], expected: Expected, *, callers: int = 8, deadline: float = 60.0
    ):
        self._connect = connect
        self._expected = expected
        self._callers = callers
        self._deadline = deadline
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.tally = Tally()
        self.broken: list[BaseException] = []

    def __enter__(self) -> Self:
        for number in range(self._callers):
            work = self._stream if number % 4 == 3 else self._call
            thread = threading.Thread(target=self._loop, args=(work, random.Random(number)))
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(self._deadline + 2 * LATE_S)
            assert not thread.is_alive(), "a call hangs"
        if self.broken:
            raise self.broken[0]

    def wait_for(self, more: int, timeout: float = GUARD_S) -> None:
        """Wait until that many more calls are answered."""
        goal, end = self.tally.answered + more, time.monotonic() + timeout
        while self.tally.answered < goal:
            assert time.monotonic() < end, f"nothing is answered any more: {self.tally.line()}"
            assert not self.broken, self.broken
            time.sleep(0.01)

    def _loop(self, work: Callable[[Connection, random.Random], None], dice: random.Random) -> None:
        try:
            while not self._over.is_set():
                # A fresh connection now and then, as callers come and go.
                with self._connect() as connection:
                    for _ in range(200):
                        if self._over.is_set():
                            break
                        self._timed(work, connection, dice)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test fails with it
            self.broken.append(error)

    def _timed(
        self, work: Callable[[Connection, random.Random], None], connection: Connection, dice: random.Random
    ) -> None:
        began = time.monotonic()
        try:
            work(connection, dice)
        except (grpc.RpcError, GenreStackError) as error:
            self._note_refusal(error.code().name if isinstance(error, grpc.RpcError) else type(error).__name__)
            # As a polite caller would.
            time.sleep(0.02)
        finally:
            late = time.monotonic() - began - self._deadline
            with self._lock:
                self.tally.late = max(self.tally.late, late) if self.tally.times else late

    @abstractmethod
    def _call(self, connection: Connection, dice: random.Random) -> None:
        """Ask once."""

    @abstractmethod
    def _stream(self, connection: Connection, dice: random.Random) -> None:
        """Ask in a stream."""

    def _draw(self, dice: random.Random) -> tuple[int, int, Matrix]:
        rows = dice.choice(SIZES)
        begin = dice.randrange(POOL - rows + 1)
        return begin, rows, self._expected.pool[begin : begin + rows]

    def _note_refusal(self, name: str) -> None:
        with self._lock:
            self.tally.refused[name] += 1

    def _note(self, response: PredictResponse | Prediction, begin: int, rows: int, began: float) -> None:
        difference = self._expected.difference(response, begin, rows)
        with self._lock:
            tally = self.tally
            tally.answered += 1
            tally.versions[response.version] += 1
            tally.worst = max(tally.worst, difference)
            tally.times.append((began, time.monotonic() - began))


class Load(Callers[grpc.Channel]):
    """Callers with gRPC's bare stubs, who ask for nothing again."""

    def _call(self, connection: grpc.Channel, dice: random.Random) -> None:
        begin, rows, drawn = self._draw(dice)
        metadata = (("genrestack-priority", dice.choice(("high", "normal"))),)
        began = time.monotonic()
        request = PredictRequest(rows=to_matrix(drawn))
        response = PredictionServiceStub(connection).Predict(request, timeout=self._deadline, metadata=metadata)
        self._note(response, begin, rows, began)

    def _stream(self, connection: grpc.Channel, dice: random.Random) -> None:
        drawn = [self._draw(dice) for _ in range(5)]
        began = time.monotonic()
        requests = iter([PredictRequest(rows=to_matrix(rows)) for *_, rows in drawn])
        responses = PredictionServiceStub(connection).PredictStream(requests, timeout=self._deadline)
        for count, ((begin, rows, _), item) in enumerate(zip(drawn, responses, strict=False)):
            assert item.index == count
            if item.HasField("error"):
                self._note_refusal(_name(item.error.code))
            else:
                self._note(item.response, begin, rows, began)


class ClientLoad(Callers[Client]):
    """Callers with this project's client, and whatever it asks again."""

    def _call(self, connection: Client, dice: random.Random) -> None:
        begin, rows, drawn = self._draw(dice)
        began = time.monotonic()
        prediction = connection.predict(drawn, timeout=self._deadline, priority=dice.choice(("high", "normal")))
        self._note(prediction, begin, rows, began)

    def _stream(self, connection: Client, dice: random.Random) -> None:
        drawn = [self._draw(dice) for _ in range(5)]
        began = time.monotonic()
        answers = connection.predict_stream([rows for *_, rows in drawn], timeout=self._deadline)
        for (begin, rows, _), prediction in zip(drawn, answers, strict=True):
            self._note(prediction, begin, rows, began)


def _name(code: int) -> str:
    return next(known.name for known in grpc.StatusCode if known.value[0] == code)


def percentile(times: Sequence[float], share: float) -> float:
    """The time that this share of the calls stayed within."""
    return float(np.quantile(np.asarray(times), share)) if times else float("nan")


def thirds(times: Sequence[tuple[float, float]]) -> Iterator[list[float]]:
    """Durations of the calls that began in the first, second and last third of the whole time."""
    if not times:
        return
    first, last = min(began for began, _ in times), max(began for began, _ in times)
    width = (last - first) / 3 or 1.0
    for number in range(3):
        yield [took for began, took in times if min(int((began - first) / width), 2) == number]
