"""`genrestack.load`: the client without a server gives what the same client is given over a port."""

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from client.both_clients import Ask, Raised, assert_same, outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from server.live import running_server
from server.tiny_bundle import FEATURES, TinyStack, draw_rows, write_tiny
from support.songs import write_recording
from support.waiting import until

import genrestack
from genrestack import (
    Cancelled,
    Client,
    ClientClosed,
    DeadlineExceeded,
    FailedPrecondition,
    GenreStackError,
    Health,
    InvalidInput,
    NotFound,
)
from genrestack._core.connection import local
from genrestack._sync.local_channel import LocalChannel

FRAME = pd.DataFrame(draw_rows(250), columns=list(FEATURES))
ASKS: dict[str, Ask] = {
    "one row": lambda c: c.predict(draw_rows(1)),
    "array": lambda c: c.predict(draw_rows(3), base=True),
    "large array": lambda c: c.predict(draw_rows(9000), base=True),
    "frame in another order": lambda c: c.predict(FRAME.iloc[:, ::-1]),
    "dicts": lambda c: c.predict([dict.fromkeys(FEATURES, 0.5)]),
    "probabilities": lambda c: c.predict_proba(draw_rows(200)),
    "stream": lambda c: c.predict_stream(np.array_split(draw_rows(300), 29), base=True),
    "stream of large batches": lambda c: c.predict_stream([draw_rows(5), draw_rows(5000), draw_rows(5)]),
    "stream with errors": lambda c: c.predict_stream(
        [draw_rows(2), [["x"] * 4], draw_rows(2)[:, 1:], draw_rows(2)], on_error="return"
    ),
    "stream that raises": lambda c: c.predict_stream([draw_rows(2), draw_rows(2)[:, 1:]]),
    "named version": lambda c: c.predict(draw_rows(1), model="tiny", version=2),
    "models": lambda c: c.models(),
    "model": lambda c: c.model("tiny"),
    "health": lambda c: [c.health(), c.health("tiny"), c.health("tiny", 2), c.health("tiny", 9), c.health("gone")],
    "ready": lambda c: c.wait_until_ready(10, model="tiny"),
    "no such model": lambda c: c.predict(draw_rows(1), model="gone"),
    "no such version": lambda c: c.model("tiny", 9),
    "wrong width": lambda c: c.predict(draw_rows(3)[:, 1:]),
    "wrong name": lambda c: c.predict(FRAME.rename(columns={"rms": "loud"})),
    "NaN": lambda c: c.predict([[1, 2, float("nan"), 4]]),
    "far too large": lambda c: c.predict([[3e38, -3e38, 3e38, 1]]),
    "priority and id": lambda c: c.predict(draw_rows(1), priority="high", request_id="a"),
    "no such priority": lambda c: c.predict(draw_rows(1), priority="low"),  # type: ignore[arg-type] # as people do
    "version 0": lambda c: c.predict(draw_rows(1), version=0),
    "timeout 0": lambda c: c.models(timeout=0),
    "a song": lambda c: c.classify_song("nowhere.wav"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of `tiny` in two versions."""
    made = tmp_path_factory.mktemp("local-models")
    for seed in range(2):
        write_tiny(made, "tiny", TinyStack.draw(seed))
    return made


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Client]:
    with running_server(folder) as running, Client(f"127.0.0.1:{running.port}") as client:
        yield client


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Iterator[Client]:
    with genrestack.load(folder / "tiny", threads=1) as client:
        yield client


same = partial(assert_same, atol=0)
"""Compare deeply and exactly."""


@pytest.mark.parametrize("name", ASKS)
def test_answers_and_errors_are_those_over_a_port(served: Client, loaded: Client, name: str) -> None:
    one, other = outcome(ASKS[name], served), outcome(ASKS[name], loaded)
    same(one, other)
    if name in {"no such model", "wrong width", "NaN"}:
        assert isinstance(other, Raised)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 300), st.integers(0, 10_000), st.sampled_from([1.0, 1e-6, 1e6, 1e30]))
def test_any_rows_have_the_same_bits(served: Client, loaded: Client, count: int, seed: int, scale: float) -> None:
    rows = draw_rows(count, seed) * np.float32(scale)
    same(outcome(lambda c: c.predict(rows, base=True), served), outcome(lambda c: c.predict(rows, base=True), loaded))


def test_a_fitted_stack_and_songs_have_the_same_bits(song_models: Path, song_server: str, tmp_path: Path) -> None:
    song = write_recording(tmp_path / "song.wav", "blip")
    with Client(song_server) as over_port, genrestack.load(song_models, threads=1) as here:
        same(over_port.models(), here.models())
        same(
            over_port.classify_song(song, model="songs", base=True, timeout=100),
            here.classify_song(song, model="songs", base=True, timeout=100),
        )
        same(outcome(lambda c: c.predict(draw_rows(1)), over_port), outcome(lambda c: c.predict(draw_rows(1)), here))


@pytest.mark.parametrize(
    ("path", "version", "title"),
    [("", None, "tiny/2"), ("tiny", None, "tiny/2"), ("tiny/1", None, "tiny/1"), ("tiny", 1, "tiny/1"),
     ("", 1, "tiny/1"), ("tiny/1/", 1, "tiny/1")],
)  # fmt: skip
def test_what_a_path_means(folder: Path, path: str, version: int | None, title: str) -> None:
    with genrestack.load(f"{folder}/{path}", version=version) as client:
        answer = client.predict(draw_rows(1))
        assert f"{answer.model}/{answer.version}" == title
        assert [f"{model.name}/{model.version}" for model in client.models()] == [title]


def test_a_relative_path_and_a_linked_one(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "other").symlink_to(folder / "tiny")
    monkeypatch.chdir(tmp_path)
    with genrestack.load("models/other") as client:
        assert client.predict(draw_rows(1)).model == "other"
        assert client.target == "models/other"
        assert repr(client) == "<Client of models/other>"
        monkeypatch.chdir("/")
        with pickle.loads(pickle.dumps(client)) as again:
            assert again.predict(draw_rows(1)).model == "other"


def _broken(folder: Path) -> str:
    (write_tiny(folder, "bad", TinyStack.draw()) / "meta.onnx").write_bytes(b"no graph")
    return "bad"


def _bundle_without_number(folder: Path) -> str:
    write_tiny(folder, "x", TinyStack.draw()).rename(folder / "mine")
    (folder / "x").rmdir()
    return "mine"


@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        (lambda _: "nowhere/at/all", InvalidInput, "there is no folder"),
        (lambda _: "tiny/9", NotFound, "model 'tiny' has no version 9; it has 1"),
        (lambda _: "gone", NotFound, "there is no model 'gone' in"),
        (lambda _: "tiny/1/manifest.json", InvalidInput, "is a file; name a model's folder"),
        (lambda f: (f / "new").mkdir() or "new", FailedPrecondition, "holds no <name>/<version>/ folders"),
        (lambda f: (f / "hollow" / "3").mkdir(parents=True) or "hollow/3", FailedPrecondition, "holds no bundle"),
        (_broken, FailedPrecondition, "model 'bad' in"),
        (_bundle_without_number, InvalidInput, "call it mine/1"),
    ],
)
def test_what_cannot_be_loaded(
    tmp_path: Path, path: Callable[[Path], str], kind: type[GenreStackError], text: str, no_threads_left: None
) -> None:
    write_tiny(tmp_path, "tiny", TinyStack.draw())
    with pytest.raises(kind, match=text.replace("<", ".").replace("(", ".")) as caught:
        genrestack.load(tmp_path / path(tmp_path))
    assert "Error" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_settings_that_cannot_be(folder: Path) -> None:
    for wrong in ({"threads": 0}, {"version": 0}, {"model": ""}, {"timeout": -1}):
        with pytest.raises(InvalidInput):
            genrestack.load(folder, **wrong)
    with pytest.raises(FailedPrecondition, match="provider"):
        genrestack.load(folder, provider="cuda")
    with pytest.raises(NotFound, match="it holds: tiny"):
        genrestack.load(folder, model="gone")


def test_what_is_loaded_stays_and_loading_again_sees_more(tmp_path: Path) -> None:
    write_tiny(tmp_path, "tiny", TinyStack.draw(0))
    with genrestack.load(tmp_path / "tiny") as first:
        before = first.predict(draw_rows(3))
        write_tiny(tmp_path, "tiny", TinyStack.draw(1))
        same(first.predict(draw_rows(3)), before)
        with genrestack.load(tmp_path / "tiny") as second:
            assert second.predict(draw_rows(3)).version == 2
        # Two of one folder know nothing of each other.
        same(first.predict(draw_rows(3)), before)


def test_closing_frees_the_threads(folder: Path) -> None:
    def system_threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    def use() -> None:
        with genrestack.load(folder, threads=3) as client:
            client.predict(draw_rows(5000))
            client.close()
            with pytest.raises(ClientClosed):
                client.predict(draw_rows(1))

    use()
    before = system_threads(), set(threading.enumerate())
    for _ in range(3):
        use()
    until(lambda: (system_threads(), set(threading.enumerate())) <= before, "threads are left")


def test_a_client_nobody_holds_or_closes_frees_them_too(folder: Path, no_threads_left: None) -> None:
    genrestack.load(folder).predict(draw_rows(1))


def test_a_program_that_closes_nothing_ends(folder: Path) -> None:
    code = (
        "import genrestack, numpy, sys\n"
        f"client = genrestack.load({str(folder)!r})\n"
        f"print(len(client.predict(numpy.zeros((5000, {len(FEATURES)})))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5000\n", "")


def test_many_threads_share_a_client(loaded: Client) -> None:
    answers: list[Any] = [None] * 16

    def ask(number: int) -> None:
        answers[number] = [loaded.predict(draw_rows(7, number)).probabilities for _ in range(10)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, found in enumerate(answers):
        for each in found:
            np.testing.assert_allclose(each, loaded.predict(draw_rows(7, number)).probabilities, rtol=0, atol=1e-6)


def test_a_deadline_and_a_close_end_a_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny(tmp_path, "slow", TinyStack.draw(), slow=600)
    client = genrestack.load(tmp_path)
    with pytest.raises(DeadlineExceeded) as late:
        client.predict(draw_rows(60_000), timeout=0.2)
    assert "genrestack health" not in str(late.value)
    seen: list[BaseException] = []
    begun = threading.Event()
    channel = cast(LocalChannel, client._channel)
    begin = channel.begin

    def watched(*call: Any) -> Any:
        future = begin(*call)
        begun.set()
        return future

    monkeypatch.setattr(channel, "begin", watched)

    def ask() -> None:
        try:
            client.predict(draw_rows(60_000), timeout=None)
        except GenreStackError as error:
            seen.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    begun.wait()
    client.close()
    thread.join()
    assert isinstance(seen[0], Cancelled)
    assert "closed during the call" in str(seen[0])


def _versions(client: Client) -> tuple[int, int, list[str]]:
    answer = client.predict(draw_rows(3))
    return os.getpid(), answer.version, answer.labels


def test_a_pickled_client_loads_the_same_version_in_the_worker(tmp_path: Path) -> None:
    from joblib import Parallel, delayed

    write_tiny(tmp_path, "tiny", TinyStack.draw(0))
    with genrestack.load(tmp_path / "tiny") as client:
        write_tiny(tmp_path, "tiny", TinyStack.draw(1))
        here = _versions(client)
        there = Parallel(n_jobs=2)(delayed(_versions)(client) for _ in range(6))
    assert here[0] not in {process for process, _, _ in there}
    assert {(version, tuple(labels)) for _, version, labels in there} == {(here[1], tuple(here[2]))}
    with pytest.raises(ClientClosed):
        pickle.dumps(client)


def test_unpickled_clients_of_one_process_share_what_is_loaded(folder: Path) -> None:
    with genrestack.load(folder / "tiny") as client:
        packed = pickle.dumps(client)
    first, second = pickle.loads(packed), pickle.loads(packed)
    assert first._channel._models is second._channel._models
    first.close()
    assert second.predict(draw_rows(1)).version == 2
    assert second.health() is Health.SERVING


def test_a_forked_process_is_told_to_load_again(folder: Path) -> None:
    code = (
        "import os, genrestack, numpy\n"
        f"client = genrestack.load({str(folder)!r})\n"
        f"rows = numpy.zeros((1, {len(FEATURES)}))\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    try:\n"
        "        client.predict(rows)\n"
        "    except genrestack.FailedPrecondition as error:\n"
        "        print(error, flush=True)\n"
        "    client.close()\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "print(len(client.predict(rows)))\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    told, answered = done.stdout.splitlines()
    assert "before this process was forked" in told
    assert answered == "1"


@pytest.mark.parametrize("lacking", ["onnxruntime", "onnx"])
def test_a_missing_extra_is_one_line(folder: Path, tmp_path: Path, lacking: str) -> None:
    table = tmp_path / "t.csv"
    table.write_text("chroma,rms,tempo,zero_crossing\n1,2,3,4\n", encoding="utf-8")
    code = (
        "import sys\n"
        f"sys.modules[{lacking!r}] = None\n"
        "import genrestack\n"
        "try:\n"
        f"    genrestack.load({str(folder)!r})\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error)\n"
        "from genrestack.cli.main import run\n"
        f"sys.exit(run(['predict', {str(table)!r}, '--models', {str(folder)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, local.MISSING + "\n", f"Error: {local.MISSING}\n")


def _predict(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "genrestack", "predict", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_asks_without_a_server(folder: Path, served: Client, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    FRAME.assign(label="blues").to_csv(table, index=False)
    ways = (["--server", served.target], ["--models", folder], ["--models", folder / "tiny"])
    for form in ("--json", "--csv", "--base"):
        told = [_predict(table, form, *way) for way in ways]
        assert {(done.returncode, done.stdout, done.stderr) for done in told} == {(0, told[0].stdout, told[0].stderr)}
    answer = json.loads(_predict(table, "--json", "--models", folder / "tiny" / "1").stdout)
    assert (answer["model"], answer["version"]) == ("tiny", 1)


def test_the_command_says_what_is_wrong_in_a_line(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    FRAME.to_csv(table, index=False)
    for arguments, status, text in (
        (f"--models {folder} --server localhost:1", 2, "give one of the two"),
        (f"--models {folder} --model gone", 1, "there is no model 'gone'"),
        (f"--models {folder} --version 7", 1, "has no version 7; it has 1, 2"),
        (f"--models {tmp_path}/gone/at/all", 1, "there is no folder"),
    ):
        done = _predict(table, *arguments.split())
        assert done.returncode == status
        assert text in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr


def test_spawned_workers_too(folder: Path) -> None:
    with genrestack.load(folder / "tiny" / "1") as client, multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_versions, [client, client])[0][1] == 1
