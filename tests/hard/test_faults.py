"""Faults under steady load: what is answered is right, what is not gets a status, and nothing hangs."""

import itertools
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from hard.callers.steady import Expected, Load
from hard.lengths import LONG, times
from hard.served import NARROW_CONNECTION, OWN_CONNECTION, Served, served
from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from support.network.certificates import Authority
from support.tools import need
from support.waiting import GUARD_S, until

from genrestack_bundle import BundleError
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub

Say = Callable[[str], None]
QUICK = ("--poll-interval", "0.1", "--metrics-port", "0")


def test_a_killed_worker_costs_its_own_calls_alone(repository: Path, expected: Expected, say: Say) -> None:
    kills = times(2, 20)
    with served(repository, "--workers", "2", *QUICK) as server, Load(server.connect, expected) as load:
        load.wait_for(200)
        for _ in range(kills):
            victim = server.workers()[0]
            victim.kill()
            load.wait_for(100)
            until(partial(_serving, server, victim.pid), "no worker takes its place")
        load.wait_for(200)
    load.tally.check("UNAVAILABLE")
    say(f"{kills} workers killed: {load.tally.line()}")


def _serving(server: Served, gone: int) -> bool:
    workers = {worker.pid for worker in server.workers()}
    return len(workers) == 2 and gone not in workers


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_told_to_stop_answers_what_it_took(
    repository: Path, expected: Expected, say: Say, workers: int
) -> None:
    with served(repository, "--workers", str(workers), *QUICK) as server, Load(server.connect, expected) as load:
        load.wait_for(300)
        began = time.monotonic()
        status = server.stop()
        took = time.monotonic() - began
        assert status == 0, server.log()
        assert "cut off" not in server.log()
    # gRPC cancels the calls that arrive in the very moment in which it closes; no handler ever sees them.
    load.tally.check("UNAVAILABLE", "CANCELLED")
    say(f"{workers} workers drained in {took:.1f} s under load: {load.tally.line()}")


def test_versions_swap_under_load(repository: Path, expected: Expected, say: Say) -> None:
    swaps = times(6, 50)
    with served(repository, *QUICK) as server, Load(server.connect, expected) as load:
        for number in range(2, swaps + 2):
            aside = write_tiny(repository.parent / "aside", "tiny", TinyStack.draw(number))
            folder = aside.rename(aside.with_name(str(number))) if aside.name != str(number) else aside
            expected.learn(folder)
            folder.rename(repository / "tiny" / str(number))
            until(partial(load.tally.versions.__getitem__, number), f"version {number} does not come")
    load.tally.check()
    assert set(load.tally.versions) == set(range(1, swaps + 2))
    say(f"{swaps} versions swapped: {load.tally.line()}")


Harm = Callable[[Path], Any]
HARMS: dict[str, Harm] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "one byte flipped": lambda path: path.write_bytes(_flipped(path.read_bytes())),
    "deleted": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "wrong JSON": lambda path: path.write_bytes(b'{"name": ["tiny"'),
}


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x20]) + data[middle + 1 :]


def test_a_new_version_with_any_file_harmed_is_refused(repository: Path, expected: Expected, say: Say) -> None:
    files = sorted(path.name for path in (repository / "tiny" / "1").iterdir())
    cases = list(itertools.product(files, HARMS))
    cases = cases if LONG else cases[::7]
    assert {"manifest.json", "golden.npz", "SHA256SUMS"} <= set(files)
    with served(repository, *QUICK) as server, Load(server.connect, expected) as load:
        for number, (name, harm) in enumerate(cases, 2):
            _put_harmed(repository, number, name, HARMS[harm])
            until(partial(_refused, server, number - 1), f"{name} {harm} is not noticed")
            load.wait_for(5)
            # Written by a thread of its own, after it was counted.
            until(partial(_logged, server, f"rejected tiny/{number}:"), f"{name} {harm} is not logged")
    load.tally.check()
    assert set(load.tally.versions) == {1}
    say(f"{len(cases)} harmed versions refused: {load.tally.line()}")


def _put_harmed(repository: Path, number: int, name: str, harm: Harm) -> None:
    aside = write_tiny(repository.parent / f"aside-{number}", "tiny", TinyStack.draw(1))
    harm(aside / name)
    aside.rename(repository / "tiny" / str(number))


def _logged(server: Served, text: str) -> bool:
    return text in server.log()


def _refused(server: Served, count: int) -> bool:
    return server.metric("genrestack_model_load_failures_total") >= count


def test_a_disk_that_fills_during_a_write_leaves_no_half_version(tmp_path: Path, expected: Expected, say: Say) -> None:
    with _small_disk(tmp_path / "disk") as models_dir:
        write_tiny(models_dir, "tiny", TinyStack.draw(1))
        with served(models_dir, *QUICK) as server, Load(server.connect, expected) as load:
            ballast, refused = models_dir / "ballast", 0
            # Ever less room, so that the disk fills at another file of the bundle each time.
            for room in range(0, 12_288, 1024 if LONG else 4096):
                _fill(ballast, room)
                with pytest.raises((BundleError, OSError)):
                    write_tiny(models_dir, "tiny", TinyStack.draw(2))
                refused += 1
                assert sorted(p.name for p in (models_dir / "tiny").iterdir()) == ["1"]
                load.wait_for(20)
            ballast.unlink()
            expected.learn(write_tiny(models_dir, "tiny", TinyStack.draw(2)))
            until(lambda: load.tally.versions[2], "the whole version is not served")
    load.tally.check()
    say(f"disk full {refused} times during a write: {load.tally.line()}")


def _fill(ballast: Path, room: int) -> None:
    """Leave this many bytes of the disk."""
    ballast.unlink(missing_ok=True)
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(max(file.tell() - room, 0))


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", folder], check=False, capture_output=True
    )
    need(mounted.returncode == 0, "the right to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_certificates_expire_and_are_replaced(repository: Path, expected: Expected, tmp_path: Path, say: Say) -> None:
    authority = Authority.make()
    pair = authority.server(tmp_path)
    trust = grpc.ssl_channel_credentials(authority.pem)

    def connect(server: Served) -> grpc.Channel:
        return grpc.secure_channel(server.address, trust, OWN_CONNECTION)

    options = ("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key))
    with served(repository, *QUICK, *options) as server, Load(lambda: connect(server), expected) as load:
        load.wait_for(100)
        _let_expire(server, authority, tmp_path)
        # No new connection is made now, and none of the old ones is lost.
        assert not _connects(lambda: connect(server))
        authority.server(tmp_path)
        until(lambda: _connects(lambda: connect(server)), "the new certificate is not taken up")
        load.wait_for(200)
    load.tally.check("UNAVAILABLE")
    say(f"a certificate expired and was replaced: {load.tally.line()}")


def _let_expire(server: Served, authority: Authority, folder: Path) -> None:
    """Make the server serve with a certificate that is about to expire, and wait until it has."""
    for attempt, seconds in enumerate((4, 16, 64, 256), 1):
        ends = time.time() + seconds
        authority.server(folder, lifetime=timedelta(seconds=seconds))
        # On a machine so busy that it has expired before it is read, it is refused; the next one lives longer.
        until(partial(_tells, server, attempt), "the certificate is not looked at")
        if "read again" in server.log():
            time.sleep(max(ends + 1 - time.time(), 0.0))
            return
    pytest.fail("no certificate is taken up before it has expired")


def _tells(server: Served, attempts: int) -> bool:
    return "read again" in server.log() or server.log().count("has expired") >= attempts


def _connects(connect: Callable[[], grpc.Channel]) -> bool:
    """Return whether a new connection is made; a call by one that is not is refused at once."""
    with connect() as channel:
        try:
            PredictionServiceStub(channel).Predict(PredictRequest(rows=to_matrix(draw_rows(1))), timeout=GUARD_S)
        except grpc.RpcError:
            return False
        return True


def test_clients_that_never_read_hold_nobody_up(repository: Path, expected: Expected, say: Say) -> None:
    streams = times(4, 16)
    with served(repository, *QUICK) as server, Load(server.connect, expected) as load, ExitStack() as stack:
        load.wait_for(200)
        before = server.memory()
        taken = [0] * streams
        for number in range(streams):
            channel = stack.enter_context(grpc.insecure_channel(server.address, NARROW_CONNECTION))
            calls = PredictionServiceStub(channel).PredictStream(_endless(taken, number), timeout=60)
            stack.callback(calls.cancel)
        until(partial(_stands_still, taken, load), "flow control does not stop them")
        settled = list(taken)
        load.wait_for(times(300, 3000))
        grown = server.memory() - before
        # Flow control has stopped them: neither side buffers without end, and what it holds of each is bounded.
        # gRPC may still widen a window a little.
        assert max(now - then for now, then in zip(taken, settled, strict=True)) < 64
        assert max(taken) < 600
        assert grown < (8 + 12 * streams) * 2**20
    load.tally.check()
    held = f"stopped after {max(taken)} items of 2,000 rows, memory +{grown / 2**20:.0f} MiB"
    say(f"{streams} streams never read, {held}: {load.tally.line()}")


def _stands_still(taken: list[int], load: Load) -> bool:
    """Return whether nothing of them is taken while others are answered."""
    before = list(taken)
    load.wait_for(500)
    time.sleep(0.5)
    return min(before) > 0 and taken == before


def _endless(taken: list[int], number: int) -> Iterator[PredictRequest]:
    request = PredictRequest(rows=to_matrix(draw_rows(2000)))
    while True:
        taken[number] += 1
        yield request


def test_half_open_connections_hold_nobody_up(repository: Path, expected: Expected, say: Say) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    openings = (b"", preface[:10], preface, preface + bytes(4), b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)))
    count = times(60, 600)
    with served(repository, *QUICK) as server, Load(server.connect, expected) as load, ExitStack() as stack:
        for number in range(count):
            link = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            link.sendall(openings[number % len(openings)])
        load.wait_for(times(300, 5000))
    load.tally.check()
    say(f"{count} half-open connections: {load.tally.line()}")


VANISHING = """
import sys, time
import grpc
from server.bundles.tiny import draw_rows
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub
request = PredictRequest(rows=to_matrix(draw_rows(5000)))
def items():
    while True:
        yield request
with grpc.insecure_channel(sys.argv[1]) as channel:
    for item in PredictionServiceStub(channel).PredictStream(items()):
        print(item.index, flush=True)
"""


def test_clients_that_vanish_mid_stream_leave_nothing(repository: Path, expected: Expected, say: Say) -> None:
    count = times(2, 12)
    with served(repository, *QUICK) as server, Load(server.connect, expected) as load:
        for _ in range(count):
            _vanish(server)
            load.wait_for(50)
        until(lambda: _others(server) <= 8 + 1, "connections of clients that are gone are kept")
    load.tally.check()
    say(f"{count} clients vanished mid-stream: {load.tally.line()}")


def _vanish(server: Served) -> None:
    """Be killed while a stream is under way."""
    tests = str(Path(__file__).parents[1])
    program = f"import sys; sys.path.insert(0, {tests!r})\n{VANISHING}"
    client = subprocess.Popen([sys.executable, "-c", program, server.address], stdout=subprocess.PIPE)
    assert client.stdout is not None
    assert client.stdout.readline()
    client.send_signal(signal.SIGKILL)
    client.communicate()


def _others(server: Served) -> int:
    """Connections that clients have with the server's port."""
    connections = psutil.Process(server.process.pid).net_connections("tcp")
    return sum(c.status == "ESTABLISHED" and c.laddr.port == server.port for c in connections)


def test_after_a_client_vanished_nothing_is_in_flight(repository: Path, expected: Expected) -> None:
    with served(repository, *QUICK) as server:
        _vanish(server)
        until(lambda: server.metric("genrestack_queue_rows") == 0, "rows of a client that is gone wait on")
        until(lambda: _others(server) == 0, "the connection of a client that is gone is kept")
        assert server.stop() == 0
        assert "stopping: 0 calls in flight" in server.log()
