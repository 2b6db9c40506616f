"""Two servers of the same models, each on a port that it keeps when it is replaced."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep

import numpy as np
from deploy.proxy import free_port
from hard.callers.steady import POOL, TOLERANCE, ClientLoad, Expected, Matrix
from hard.lengths import LONG
from hard.served import Served, served
from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from support.waiting import GUARD_S, until

from genrestack import Client, RetryOptions

Target = str | list[str]


@dataclass
class Fleet:
    """What stands behind the proxy, or in the client's list."""

    models_dir: Path
    expected: Expected
    stack: ExitStack
    ports: tuple[int, int]
    servers: list[Served] = field(default_factory=list)

    @property
    def addresses(self) -> list[str]:
        return [f"127.0.0.1:{port}" for port in self.ports]

    def start(self, number: int) -> Served:
        options = ("--port", str(self.ports[number]), "--metrics-port", "0", "--grace", "30")
        return self.stack.enter_context(served(self.models_dir, *options))

    def answered(self, number: int, **labels: str) -> float:
        """Calls that this server has answered, as it counts them."""
        return self.servers[number].metric("genrestack_requests_total", code="OK", **labels)

    def replace(self, number: int, how: signal.Signals, load: ClientLoad) -> int:
        """End a server, see the other one answer, start another in its place and see it answer; give its status."""
        process = self.servers[number].process
        process.send_signal(how)
        load.wait_for(150)
        status = process.wait(GUARD_S)
        self.servers[number] = self.start(number)
        until(lambda: self.answered(number) >= 50, "the new server gets no work")
        load.wait_for(50)
        return status


@contextmanager
def fleet(folder: Path) -> Iterator[Fleet]:
    """Start both; nothing is left of them after."""
    expected = Expected(draw_rows(POOL, seed=5))
    expected.learn(write_tiny(folder, "tiny", TinyStack.draw(1)))
    with ExitStack() as stack:
        made = Fleet(folder, expected, stack, (free_port(), free_port()))
        for number in range(2):
            made.servers.append(made.start(number))
        yield made


# The long form, whose figures are published, asks with the policy that is the default: five attempts within some 1.5 s,
# which is longer than a drain takes. On a machine that is busy with other tests a drain may take longer.
PATIENT = RetryOptions() if LONG else RetryOptions(attempts=20)
DEADLINE = 30.0


@contextmanager
def asked(target: Target, expected: Expected) -> Iterator[tuple[ClientLoad, ClientLoad]]:
    """Callers with the client's own retries, and beside them some without any, who show what there is to be retried."""
    patient = ClientLoad(lambda: Client(target, retry=PATIENT), expected, deadline=DEADLINE)
    hasty = ClientLoad(lambda: Client(target, retry=RetryOptions(attempts=1)), expected, callers=4, deadline=DEADLINE)
    with patient, hasty:
        patient.wait_for(200)
        yield patient, hasty


class SlowStream:
    """One stream that goes on for seconds: each of its batches waits for the answer before it, and a while."""

    def __init__(self, client: Client, expected: Expected, batches: int = 40, pause: float = 0.1) -> None:
        self._client, self._expected, self._batches, self._pause = client, expected, batches, pause
        self._thread = threading.Thread(target=self._run)
        self.answered = 0
        self.failed: BaseException | None = None

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Begin it, and in the end see that every answer was there and right."""
        self._thread.start()
        try:
            until(lambda: self.answered > 2 or self.failed, "the stream does not begin")
            yield
        finally:
            self._thread.join(GUARD_S)
        assert not self._thread.is_alive()
        assert self.failed is None, self.failed
        assert self.answered == self._batches

    def _run(self) -> None:
        try:
            answers = self._client.predict_stream(self._rows(), in_flight=1)
            (right,) = self._expected.answers.values()
            for number, answer in enumerate(answers):
                assert np.abs(answer.probabilities - right[number : number + 2]).max() <= TOLERANCE
                self.answered += 1
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test fails with it
            self.failed = error

    def _rows(self) -> Iterator[Matrix]:
        for number in range(self._batches):
            yield self._expected.pool[number : number + 2]
            sleep(self._pause)
