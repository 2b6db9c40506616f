"""What a failed connection is called: gRPC's own words are for programmers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest

from genrestack import Client, RetryOptions, Unavailable
from genrestack._core.connection.options import Peer
from genrestack._core.status import make_error

ONCE = RetryOptions(attempts=1)


@contextmanager
def web_server() -> Iterator[int]:
    """Something that listens and does not speak HTTP/2."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stopped = threading.Event()

        def answer() -> None:
            while not stopped.is_set():
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1024)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            stopped.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_server_of_another_kind_is_not_nobody() -> None:
    with (
        web_server() as port,
        Client(f"127.0.0.1:{port}", retry=ONCE, timeout=10) as client,
        pytest.raises(Unavailable, match="is not a gRPC server; check the port"),
    ):
        client.models()


def test_an_unknown_host_is_named_without_the_resolver_speaking() -> None:
    with Client("no.such.host.invalid:50051", retry=ONCE, timeout=10) as client, pytest.raises(Unavailable) as caught:
        client.models()
    assert str(caught.value) == (
        "the address no.such.host.invalid:50051 is not known here; give it as HOST:PORT, such as localhost:50051"
    )


def test_a_port_left_out_is_what_is_missing() -> None:
    with (
        Client("localhost", retry=ONCE, timeout=10) as client,
        pytest.raises(Unavailable, match="the address has no port, try localhost:50051"),
    ):
        client.models()


@pytest.mark.parametrize("text", ["Socket closed", "recvmsg:Connection reset by peer", "GOAWAY received"])
def test_a_connection_that_broke_off_says_how_to_look(text: str) -> None:
    error = make_error(grpc.StatusCode.UNAVAILABLE, text, None, Peer("host:1"))
    assert (
        str(error) == "the connection to host:1 broke off; see whether it still runs: genrestack health --server host:1"
    )


def test_what_a_server_says_of_itself_stands() -> None:
    error = make_error(grpc.StatusCode.UNAVAILABLE, "models are still being loaded", None, Peer("host:1"))
    assert str(error) == "host:1 is not available: models are still being loaded"
