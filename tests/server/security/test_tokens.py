"""Tokens and the guard, over real ports."""

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import tritonclient.grpc as triton
from click.testing import CliRunner
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from server.running.live import Launch, Running, RunServer
from server.test_command import batch, fails
from support.waiting import until
from tritonclient.utils import InferenceServerException

from genrestack_proto.v1.prediction_pb2 import ListModelsRequest
from genrestack_server.call import Call
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import PermissionDenied, TokenFileError, Unauthenticated
from genrestack_server.process.runner import insecure_bind_warnings
from genrestack_server.security.auth import MANAGEMENT_METHODS, Authorizer
from genrestack_server.security.token_command import token as token_command
from genrestack_server.security.tokens import Tokens, read_tokens, token_digest
from genrestack_server.telemetry.observer import Observer

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
PREDICT = "/genrestack.v1.PredictionService/Predict"
LOAD = "/inference.GRPCInferenceService/RepositoryModelLoad"
INDEX = "/inference.GRPCInferenceService/RepositoryIndex"


class Notes(Observer):
    """What observers were told."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.reasons: list[str] = []

    def call_ended(self, call: Call) -> None:
        self.calls.append(call)

    def rejected(self, reason: str) -> None:
        self.reasons.append(reason)


def line(token: str, *words: str) -> str:
    return " ".join([hashlib.sha256(token.encode()).hexdigest(), *words]) + "\n"


def bearer(token: str, scheme: str = "Bearer") -> tuple[tuple[str, str | bytes], ...]:
    return (("authorization", f"{scheme} {token}"),)


def refusal(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(details)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return error.code(), error.details()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "tokens"
    file.write_text("# who may ask\n\n" + line("one", "web") + line("two", "release", "admin") + line("three"))
    return file


@contextmanager
def noted(running: Running) -> Iterator[Notes]:
    notes = Notes()
    assert running.server is not None
    running.server.observers.add(notes)
    yield notes


def test_only_who_has_a_token_is_answered(token_file: Path, tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, token_file=token_file) as running, noted(running) as notes:
        stub = running.stub
        for token in ("one", "two", "three"):
            assert len(stub.Predict(batch(2), metadata=bearer(token)).labels) == 2
        assert len(stub.Predict(batch(1), metadata=bearer(" one ", "bEARER")).labels) == 1
        assert [len(item.response.labels) for item in stub.PredictStream(iter([batch(3)]), metadata=bearer("one"))] == [
            3
        ]
        code, text = refusal(lambda: stub.Predict(batch(1)))
        assert code is UNAUTHENTICATED
        assert text == "this server asks for a token; send it as metadata 'authorization: Bearer TOKEN'"
        code, text = refusal(lambda: stub.Predict(batch(1), metadata=bearer("four")))
        assert code is UNAUTHENTICATED
        assert "does not know the token" in text
        assert "four" not in text
        for calling in (
            lambda: list(stub.PredictStream(iter([batch(1)]))),
            lambda: stub.ListModels(ListModelsRequest()),
            lambda: stub.Predict(batch(1), metadata=bearer("one", "Basic")),
            lambda: stub.Predict(batch(1), metadata=bearer("one") * 2),
            lambda: stub.Predict(batch(1), metadata=bearer("")),
        ):
            assert refusal(calling)[0] is UNAUTHENTICATED
        assert notes.reasons == ["token"] * 7
        refused = [call for call in notes.calls if call.code is UNAUTHENTICATED]
        assert [call.method for call in refused][:3] == ["Predict", "Predict", "PredictStream"]


def test_health_needs_no_token_and_reflection_does(token_file: Path, tiny_models: Path, run_server: RunServer) -> None:
    with run_server(tiny_models, token_file=token_file) as running:
        assert running.health("tiny") == "SERVING"
        watch = running.channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )(health_pb2.HealthCheckRequest(), timeout=10)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()
        reflection = reflection_pb2_grpc.ServerReflectionStub(running.channel)
        asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
        code, _ = refusal(lambda: list(reflection.ServerReflectionInfo(iter(asked))))
        assert code is UNAUTHENTICATED
        (answer,) = reflection.ServerReflectionInfo(iter(asked), metadata=bearer("one"))
        assert "genrestack.v1.PredictionService" in [entry.name for entry in answer.list_services_response.service]


def test_tokens_are_read_again_and_a_broken_file_changes_nothing(
    token_file: Path, tiny_models: Path, run_server: RunServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "genrestack_server")
    with run_server(tiny_models, token_file=token_file) as running:
        token_file.write_text("secret-token-in-the-wrong-place\n")
        until(lambda: "keeping the previous version" in caplog.text)
        assert "line 1 does not begin with 64 hexadecimal digits" in caplog.text
        assert "secret-token" not in caplog.text
        running.stub.Predict(batch(1), metadata=bearer("one"))
        token_file.write_text(line("new"))
        until(lambda: f"read again: {token_file}, 1 token" in caplog.text)
        running.stub.Predict(batch(1), metadata=bearer("new"))
        assert refusal(lambda: running.stub.Predict(batch(1), metadata=bearer("one")))[0] is UNAUTHENTICATED


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no token; `genrestack token` makes one"),
        ("# nothing\n\n", "holds no token"),
        ("0" * 63 + "\n", "line 1 does not begin with 64 hexadecimal digits"),
        ("\n" + "g" * 64 + "\n", "line 2 does not begin with 64 hexadecimal digits"),
        (line("a", "x", "y"), "line 1 must be: DIGEST"),
        (line("a", "admin", "admin"), "line 1 must be: DIGEST"),
        (line("a", "näme"), "line 1 must be: DIGEST"),
        (line("a", "x") + line("a", "y", "admin"), "line 2 is the token of an earlier line once more"),
        ("x" * (2**20 + 1), "is larger than 1 MiB"),
    ],
)
def test_a_broken_file_names_the_line_and_never_shows_it(content: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(TokenFileError, match=said) as caught:
        read_tokens(file)
    assert "\n" not in str(caught.value)
    assert not content.strip() or content.split(maxsplit=1)[0] not in str(caught.value)


def test_a_missing_file_stops_the_start(tmp_path: Path, tiny_models: Path) -> None:
    missing = tmp_path / "none"
    assert f"cannot read the token file {missing}: No such file" in fails(tiny_models, "--token-file", missing)


def test_what_a_line_says(token_file: Path) -> None:
    found = [(token.name, token.admin) for token in read_tokens(token_file)]
    assert found == [("web", False), ("release", True), ("", False)]
    assert Tokens(token_file).find("two") == read_tokens(token_file)[1]
    assert Tokens(token_file).find("") is None
    assert token_digest("abc").hex() == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize("method", [LOAD, *sorted(MANAGEMENT_METHODS)])
def test_management_is_closed_unless_opened_and_authorised(method: str, token_file: Path) -> None:
    tokens = Tokens(token_file)
    with pytest.raises(PermissionDenied, match="--management open opens them"):
        Authorizer("closed", None).check(method, ())
    Authorizer("open", None).check(method, ())
    with pytest.raises(PermissionDenied, match="--management open opens them"):
        Authorizer("closed", tokens).check(method, bearer("two"))
    with pytest.raises(PermissionDenied, match="genrestack token --admin"):
        Authorizer("open", tokens).check(method, bearer("one"))
    with pytest.raises(Unauthenticated):
        Authorizer("open", tokens).check(method, ())
    Authorizer("open", tokens).check(method, bearer("two"))


def test_management_over_the_port(token_file: Path, tiny_models: Path, run_server: RunServer) -> None:
    """A client of somebody else's, with and without the right."""

    def ask(port: int, what: str, *arguments: str, token: str = "") -> object:
        with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
            headers = {"authorization": f"Bearer {token}"} if token else None
            return getattr(client, what)(*arguments, headers=headers)

    def status(port: int, *asked: str, token: str = "") -> str:
        with pytest.raises(InferenceServerException) as caught:
            ask(port, *asked, token=token)
        return str(caught.value.status())

    managing = [("load_model", "tiny"), ("unload_model", "tiny"), ("get_inference_statistics", "tiny")]
    with run_server(tiny_models, management="closed") as running:
        for asked in managing:
            assert status(running.port, *asked) == "StatusCode.PERMISSION_DENIED"
        assert ask(running.port, "get_model_repository_index")
    with run_server(
        tiny_models, management="open", repository_mode="explicit", load_models=("tiny",), token_file=token_file
    ) as running:
        for asked in managing:
            assert status(running.port, *asked) == "StatusCode.UNAUTHENTICATED"
            assert status(running.port, *asked, token="one") == "StatusCode.PERMISSION_DENIED"
        assert ask(running.port, "get_model_repository_index", token="one")
        assert ask(running.port, "get_inference_statistics", "tiny", token="two")
        ask(running.port, "unload_model", "tiny", token="two")
        ask(running.port, "load_model", "tiny", token="two")


@pytest.mark.parametrize("method", [INDEX, PREDICT, "/grpc.health.v1.Health/Check"])
def test_all_else_is_open_where_there_are_no_tokens(method: str) -> None:
    Authorizer("closed", None).check(method, ())


def test_nothing_stands_before_calls_where_there_is_nothing_to_refuse() -> None:
    assert Authorizer("closed", None).needed
    assert not Authorizer("open", None).needed


@pytest.mark.parametrize("method", ["/no.Service/Method", "/genrestack.v1.PredictionService/No"])
def test_a_method_there_is_not_is_unimplemented(
    method: str, token_file: Path, tiny_models: Path, run_server: RunServer
) -> None:
    with run_server(tiny_models, token_file=token_file) as running, noted(running) as notes:
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            running.channel.unary_unary(method, bytes, bytes)(b"", timeout=10)
        assert notes.reasons == []


def test_the_command_makes_a_token_that_the_server_reads(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(line("old"), encoding="ascii")
    file.write_text(file.read_text().rstrip("\n"))
    made = CliRunner().invoke(token_command, ["--name", "web", "--admin", "--append", str(file)])
    assert made.exit_code == 0, made.output
    text = made.output.strip()
    assert len(text) >= 43
    assert text not in file.read_text()
    found = Tokens(file).find(text)
    assert found is not None
    assert (found.name, found.admin) == ("web", True)
    assert len(read_tokens(file)) == 2

    shown = CliRunner().invoke(token_command, []).output.splitlines()
    assert shown[3].strip() == hashlib.sha256(shown[1].strip().encode()).hexdigest()
    assert CliRunner().invoke(token_command, []).output.splitlines()[1] != shown[1]


@pytest.mark.parametrize("arguments", [["--name", "admin"], ["--name", "a b"], ["--append", "/no/such/folder/x"]])
def test_the_command_refuses(arguments: list[str]) -> None:
    result = CliRunner().invoke(token_command, arguments)
    assert result.exit_code != 0
    assert "Traceback" not in result.output


def test_the_command_is_light() -> None:
    heavy = "{'grpc', 'numpy', 'google.protobuf'}"
    program = f"import sys, genrestack_server.security.token_command; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, ["requests and answers travel unencrypted", "everybody there may ask"]),
        ({"tls": True}, ["everybody there may ask"]),
        ({"token_file": Path("t")}, ["requests, answers and tokens travel unencrypted"]),
        ({"tls": True, "tls_client_ca": Path("ca")}, []),
        ({"tls": True, "token_file": Path("t")}, []),
        ({"management": "open"}, ["unencrypted", "may ask", "everybody there may load and unload models"]),
    ],
)
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_what_lies_open_beyond_loopback(options: dict[str, Any], said: list[str], host: str) -> None:
    options = dict(options)
    if options.pop("tls", False):
        options |= {"tls_cert": Path("c"), "tls_key": Path("k")}
    lines = insecure_bind_warnings(ServerConfig(host=host, **options))
    assert len(lines) == len(said)
    for text, part in zip(lines, said, strict=True):
        assert text.startswith(f"{host} is reachable from other machines, and ")
        assert part in text
        assert "; set --" in text
    for loopback in ("127.0.0.1", "localhost", "::1", "127.1.2.3"):
        assert insecure_bind_warnings(ServerConfig(host=loopback, **options)) == []


def test_the_command_warns_of_it(tiny_models: Path, launch: Launch) -> None:
    command = launch(tiny_models, "--port", "0", "--threads", "1", "--host", "0.0.0.0")
    command.process.terminate()
    _, said = command.process.communicate()
    assert "WARNING 0.0.0.0 is reachable from other machines, and everybody there may ask; set --token-file" in said
