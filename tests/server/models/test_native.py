"""Native operators in a server: what it says of them, and how they are left out."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from server.running.live import RunServer
from support.samples.stacks import FittedStack
from support.tools import need

from genrestack import Client
from genrestack.cli.main import run
from genrestack_bundle import provider_selection as selection_module
from genrestack_bundle.native.library import instruction_sets, missing
from genrestack_proto.v1.prediction_pb2 import GetModelRequest
from genrestack_server import ServerConfig
from genrestack_server.doctor import native
from genrestack_server.models import loader as loader_module
from genrestack_server.models.loader import load_version


@pytest.fixture(autouse=True)
def _compiled() -> None:
    need(not missing(), "the native operators (make setup with gcc)")


def test_metadata_says_what_ran(models_dir: Path, small_stack: FittedStack, run_server: RunServer) -> None:
    rows = small_stack.rows.astype(np.float32)
    answers = []
    for wanted in (True, False):
        with run_server(models_dir, native=wanted) as running, Client(f"127.0.0.1:{running.port}") as client:
            info = client.model("digits")
            assert info.native_parts == ({"knn": instruction_sets()[0]} if wanted else {})
            assert dict(running.stub.GetModel(GetModelRequest()).model.runtime.native_parts) == info.native_parts
            answers.append(client.predict(rows, base=True))
    native_answer, graph_answer = answers
    assert native_answer.labels == graph_answer.labels
    np.testing.assert_allclose(native_answer.base["knn"], graph_answer.base["knn"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(native_answer.probabilities, graph_answer.probabilities, rtol=0, atol=1e-6)


def test_the_command_says_what_ran(
    models_dir: Path, run_server: RunServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    with run_server(models_dir) as running:
        for options in ((), ("--json",)):
            assert run(["models", "--server", f"127.0.0.1:{running.port}", *options]) == 0
    text, _, rest = capsys.readouterr().out.partition("[")
    assert f"knn native ({instruction_sets()[0]})" in text
    assert json.loads("[" + rest)[0]["native_parts"] == {"knn": instruction_sets()[0]}


def loaded(models_dir: Path, caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    with caplog.at_level(logging.INFO, "genrestack_server"):
        load_version("digits", 1, ServerConfig(models_dir=models_dir, threads=1))
    return [(record.levelno, record.getMessage()) for record in caplog.records]


def test_the_log_says_what_ran(models_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    ((level, text),) = loaded(models_dir, caplog)
    assert level == logging.INFO
    assert text.endswith(f", knn native ({instruction_sets()[0]})")


def test_the_log_says_why_they_are_left_out(
    models_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As somebody wanted it at installation: no warning."""
    nowhere = tmp_path / "nowhere.so"
    for module in (selection_module, loader_module):
        monkeypatch.setattr(module, "missing", lambda: missing(nowhere))
    (level, reason), (_, text) = loaded(models_dir, caplog)
    assert level == logging.INFO
    assert reason.startswith("digits/1: no native operator for knn: it was not compiled when GenreStack was installed")
    assert "native" not in text


def test_the_log_warns_of_one_that_answers_otherwise(
    models_dir: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENRESTACK_NATIVE_ISA", "mmx")
    (level, reason), (_, text) = loaded(models_dir, caplog)
    assert level == logging.WARNING
    assert reason.startswith("digits/1: no native operator for knn: ")
    assert "native" not in text


def test_doctor_looks_for_them(tmp_path: Path) -> None:
    assert native() == ("native operators", "ok", f"k nearest neighbours by {instruction_sets()[0]}", "")
    subject, state, found, advice = native(tmp_path / "nowhere.so")
    assert (subject, state) == ("native operators", "note")
    assert found.startswith("it was not compiled when GenreStack was installed (no C compiler, or GENRESTACK_NO_NATIVE")
    assert found.endswith("standard operators answer in their place, the same and slower")
    assert advice == "with a C compiler (gcc) at hand: python -m genrestack_bundle.native.build"
