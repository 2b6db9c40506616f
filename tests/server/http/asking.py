"""Requests by HTTP as a caller writes them: JSON, and Triton's binary tensors, with the standard library alone."""

import json
import re
import socket
import ssl
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from typing import Any

import numpy as np
import numpy.typing as npt
from server.running.live import Running
from support.waiting import GUARD_S

INFER = "/v2/models/tiny/infer"
LENGTH = "Inference-Header-Content-Length"
_DTYPES = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8"}


@dataclass(frozen=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The JSON of it."""
        length = self.headers.get(LENGTH.lower())
        return json.loads(self.body if length is None else self.body[: int(length)])

    @property
    def outputs(self) -> dict[str, Any]:
        """Arrays, and lists of labels, by the outputs' names, whichever way they came."""
        length = self.headers.get(LENGTH.lower())
        rest = b"" if length is None else self.body[int(length) :]
        found: dict[str, Any] = {}
        for output in self.document["outputs"]:
            if "data" in output:
                found[output["name"]] = _of_json(output)
            else:
                size = output["parameters"]["binary_data_size"]
                found[output["name"]], rest = _of_bytes(output, rest[:size]), rest[size:]
        assert not rest
        return found

    @property
    def violations(self) -> list[str]:
        """Fields at fault."""
        return [violation["field"] for violation in self.document.get("violations", [])]


class Http:
    """One connection that is kept."""

    def __init__(self, port: int, *, context: ssl.SSLContext | None = None, token: str | None = None) -> None:
        self.connection = (
            HTTPConnection("127.0.0.1", port, timeout=GUARD_S)
            if context is None
            else HTTPSConnection("localhost", port, timeout=GUARD_S, context=context)
        )
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def ask(
        self, method: str, path: str, body: "bytes | str | Iterator[bytes] | None" = None, **headers: str
    ) -> Answer:
        """Ask, and read the answer; `_` in a header's name stands for `-`."""
        sent = self._headers | {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body, sent)
        response = self.connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, document: Any = None, **headers: str) -> Answer:
        return self.ask("POST", path, None if document is None else json.dumps(document), **headers)

    def infer(self, document: Any, path: str = INFER, **headers: str) -> Answer:
        return self.post(path, document, **headers)

    def infer_binary(self, document: Any, *tensors: bytes, path: str = INFER, **headers: str) -> Answer:
        text = json.dumps(document).encode()
        return self.ask(
            "POST", path, b"".join([text, *tensors]), Inference_Header_Content_Length=str(len(text)), **headers
        )


@contextmanager
def asking(running: Running, **options: Any) -> Iterator[Http]:
    """Connect to a server in this process."""
    http = Http(http_port(running), **options)
    try:
        yield http
    finally:
        http.connection.close()


def http_port(running: Running) -> int:
    assert running.server is not None
    assert running.server.http_port is not None
    return running.server.http_port


def in_json(
    rows: npt.NDArray[np.floating], *outputs: str, nested: bool = False, datatype: str = "FP32", **fields: Any
) -> dict[str, Any]:
    """A request whose values are JSON."""
    data = rows.astype(np.float64)
    tensor = {
        "name": "features",
        "datatype": datatype,
        "shape": list(rows.shape),
        "data": data.tolist() if nested else data.ravel().tolist(),
    }
    return {"inputs": [tensor], **_named(outputs), **fields}


def in_bytes(
    rows: npt.NDArray[np.floating], *outputs: str, binary_data_output: bool = True, **fields: Any
) -> tuple[dict[str, Any], bytes]:
    """A request whose values follow as bytes, as tritonclient writes it."""
    data = rows.tobytes()
    tensor = {
        "name": "features",
        "datatype": {4: "FP32", 8: "FP64"}[rows.dtype.itemsize],
        "shape": list(rows.shape),
        "parameters": {"binary_data_size": len(data)},
    }
    parameters = {"binary_data_output": binary_data_output}
    return {"inputs": [tensor], "parameters": parameters, **_named(outputs), **fields}, data


def sent(port: int, *pieces: bytes) -> bytes:
    """Send bytes, whatever they are, and return all that comes back until the other side ends it."""
    return sent_from(port, pieces)


def sent_from(port: int, pieces: Iterable[bytes]) -> bytes:
    """Send bytes as they are made, as `sent` does."""
    with socket.create_connection(("127.0.0.1", port), timeout=GUARD_S) as connection:
        received = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
            while more := connection.recv(65_536):
                received += more
        except (ConnectionResetError, BrokenPipeError):
            pass
        return received


def answer_on(connection: socket.socket) -> bytes:
    """Read one response, which may come in several pieces."""
    received = b""
    while True:
        head, end, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if end and length and len(body) >= int(length[1]):
            return received
        more = connection.recv(65_536)
        assert more, "it ends before its response"
        received += more


def status_of(received: bytes) -> int:
    """Status of a response, all of which is an HTTP response whose body is JSON."""
    head, _, body = received.partition(b"\r\n\r\n")
    json.loads(body)
    return int(head.split(b" ")[1])


def _named(outputs: Sequence[str]) -> dict[str, Any]:
    return {"outputs": [{"name": name} for name in outputs]} if outputs else {}


def _of_json(output: dict[str, Any]) -> Any:
    if output["datatype"] == "BYTES":
        return output["data"]
    return np.array(output["data"], dtype=_DTYPES[output["datatype"]]).reshape(output["shape"])


def _of_bytes(output: dict[str, Any], data: bytes) -> Any:
    if output["datatype"] == "BYTES":
        texts = []
        while data:
            (size,) = struct.unpack_from("<I", data)
            texts.append(data[4 : 4 + size].decode())
            data = data[4 + size :]
        return texts
    return np.frombuffer(data, dtype=_DTYPES[output["datatype"]]).reshape(output["shape"])
