"""Two servers behind nginx, or in one client's list: what becomes of calls when one of them ends and another comes."""

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.fleet import DEADLINE, Fleet, SlowStream, asked, fleet
from deploy.proxy import Proxy, free_port, proxy
from hard.callers.http2 import PREDICT, connection, request
from hard.callers.steady import ClientLoad
from hard.lengths import times
from server.bundles.tiny import draw_rows
from support.figures import Say
from support.waiting import GUARD_S, until

from genrestack import Client, Health, InvalidInput, RetryOptions, Unavailable

# What callers without retries may see. A stream that nginx tears is among the first.
PASSING = ("Unavailable", "Cancelled")
# Status 404, as HPACK's table of known headers writes it.
NOT_FOUND = b"\x8d"
ONCE = RetryOptions(attempts=1)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Fleet]:
    models_dir = tmp_path / "models"
    models_dir.mkdir()
    with fleet(models_dir) as running:
        yield running


@pytest.fixture
def nginx(servers: Fleet) -> Iterator[Proxy]:
    with proxy(servers.ports) as running:
        yield running


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to stop"])
def test_nginx_loses_nothing_when_a_server_is_replaced(
    servers: Fleet, nginx: Proxy, how: signal.Signals, say: Say
) -> None:
    count = times(2, 20)
    with asked(nginx.address, servers.expected) as (patient, hasty):
        statuses = {servers.replace(number % 2, how, patient) for number in range(count)}
    patient.tally.check()
    hasty.tally.check(*PASSING)
    assert statuses == {-signal.SIGKILL if how is signal.SIGKILL else 0}
    tries = nginx.passed()
    repeated = sum(tries.values()) - sum(each for (_, code), each in tries.items() if code == "0")
    say(
        f"{count} servers, {patient.tally.line()}; without retries: {hasty.tally.line()}; of {sum(tries.values()):,} "
        f"calls through nginx {repeated} did not end well"
    )


def test_nginx_passes_on_no_path_that_closes_a_port(servers: Fleet, nginx: Proxy) -> None:
    host, port = nginx.address.split(":")
    for path in (b"/\xff", PREDICT + b"?\xff", b"/\xff/.." + PREDICT, PREDICT + b"#\xff"):
        with socket.create_connection((host, int(port)), timeout=10) as link:
            link.sendall(connection([request(path)]))
            said = b""
            while NOT_FOUND not in said:
                said += link.recv(4096)
    assert sum(server.metric("genrestack_grpc_rebuilds_total") for server in servers.servers) == 0


def test_nginx_loses_nothing_when_a_server_is_taken_out_first(servers: Fleet, nginx: Proxy, say: Say) -> None:
    """As the head of nginx.conf says, with a stream under way that holds up the drain."""
    with (
        Client(nginx.address) as client,
        SlowStream(client, servers.expected).under_way(),
        asked(nginx.address, servers.expected) as (patient, hasty),
    ):
        nginx.leave_out(servers.ports[0])
        until(lambda: not _gets_work(servers, patient), "nginx goes on asking the server that it is to leave out")
        assert servers.servers[0].stop() == 0
        patient.wait_for(100)
        servers.servers[0] = servers.start(0)
        with Client(servers.addresses[0]) as alone:
            alone.wait_until_ready(GUARD_S)
        nginx.leave_out(None)
        until(lambda: servers.answered(0) >= 50, "the new server gets no work")
    patient.tally.check()
    hasty.tally.check(*PASSING)
    say(f"{patient.tally.line()}; without retries: {hasty.tally.line()}")


def _gets_work(servers: Fleet, patient: ClientLoad) -> bool:
    """Return whether single calls reach the first server; the slow stream may go on there."""
    before = servers.answered(0, method="Predict")
    patient.wait_for(100)
    return servers.answered(0, method="Predict") > before


def test_large_messages_and_long_errors_pass_nginx(servers: Fleet, nginx: Proxy) -> None:
    rows = draw_rows(65_536)
    with Client(nginx.address, max_message_rows=len(rows)) as client:
        assert len(client.predict(rows, timeout=GUARD_S)) == len(rows)
        assert client.health() is Health.SERVING
        with Client(servers.addresses[0]) as direct, pytest.raises(InvalidInput) as told:
            direct.predict([dict.fromkeys(map(str, range(200)), 1.0)])
        with pytest.raises(InvalidInput) as passed:
            client.predict([dict.fromkeys(map(str, range(200)), 1.0)])
    assert passed.value.violations == told.value.violations != ()


def test_nginx_says_in_the_words_of_grpc_that_no_server_is_there() -> None:
    with proxy((free_port(), free_port())) as alone, Client(alone.address, retry=ONCE) as client:
        with pytest.raises(Unavailable, match="no server behind the proxy answered; try again"):
            client.predict([[1.0]])
        with pytest.raises(Unavailable, match="no server behind the proxy answered; try again"):
            list(client.predict_stream([[[1.0]]]))


def test_a_killed_one_of_two_servers_in_a_list_costs_nothing(servers: Fleet, say: Say) -> None:
    count = times(2, 20)
    with asked(servers.addresses, servers.expected) as (patient, hasty):
        for number in range(count):
            servers.replace(number % 2, signal.SIGKILL, patient)
    patient.tally.check()
    hasty.tally.check(*PASSING)
    say(f"{count} servers, {patient.tally.line()}; without retries: {hasty.tally.line()}")


def test_one_of_two_servers_in_a_list_drains_and_is_left_alone(servers: Fleet, say: Say) -> None:
    """A stream holds up the drain for seconds, in which the server takes connections and refuses every call."""
    unasked = [("grpc.inhibit_health_checking", 1)]
    blind = ClientLoad(
        lambda: Client(servers.addresses, retry=ONCE, channel_options=unasked),
        servers.expected,
        callers=4,
        deadline=DEADLINE,
    )
    with (
        Client(servers.addresses[0]) as client,
        asked(servers.addresses, servers.expected) as (patient, hasty),
        blind,
        SlowStream(client, servers.expected).under_way(),
    ):
        began = time.monotonic()
        servers.replace(0, signal.SIGTERM, patient)
        took = time.monotonic() - began
    patient.tally.check()
    hasty.tally.check(*PASSING)
    blind.tally.check(*PASSING)
    # They see what the others are spared.
    assert blind.tally.refused["Unavailable"] > hasty.tally.refused["Unavailable"]
    say(
        f"replaced in {took:.1f} s: {patient.tally.line()}; without retries: {hasty.tally.line()}; without asking for "
        f"health either: {blind.tally.line()}"
    )
