"""Threads and processes of a client without a server: closing, sharing, pickling, forking."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from server.bundles.tiny import FEATURES, TinyStack, draw_rows, write_tiny
from support.waiting import until

import genrestack
from genrestack import Cancelled, Client, ClientClosed, DeadlineExceeded, GenreStackError, Health
from genrestack._sync.local_channel import LocalChannel


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


def test_spawned_workers_too(folder: Path) -> None:
    with genrestack.load(folder / "tiny" / "1") as client, multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_versions, [client, client])[0][1] == 1
