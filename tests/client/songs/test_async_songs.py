"""Recordings asked about from asyncio: as by the synchronous client, and off the event loop."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client.both_clients import BOTH_CLIENTS, Ask, assert_same, outcome
from support.samples.songs import KINDS, write_recording
from support.waiting import GUARD_S

from genrestack import AsyncClient, SongPrediction
from genrestack._async.tasks import in_thread
from genrestack.songs.recording import Song


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "song.wav", *KINDS, seconds=6)


ASKED: dict[str, Any] = {
    "windows": lambda c, path: c.classify_song(path, model="songs", base=True, window=0.5),
    "overlapping": lambda c, path: c.classify_song(path, model="few", window=2, hop=1.5),
    "no such file": lambda c, path: c.classify_song(path.with_name("gone.wav"), model="few"),
    "too short": lambda c, path: c.classify_song(path, model="few", window=60),
    "odd window": lambda c, path: c.classify_song(path, model="few", window=-1),
    "another model": lambda c, path: c.classify_song(path, model="tiny"),
    "no such model": lambda c, path: c.classify_song(path, model="gone"),
    "timeout 0": lambda c, path: c.classify_song(path, timeout=0),
}


@pytest.mark.parametrize("name", ASKED)
def test_songs_are_asked_alike(song_server_apart: str, song: Path, name: str) -> None:
    ask: Ask = lambda client: ASKED[name](client, song)  # noqa: E731
    seen = []
    for make in BOTH_CLIENTS:
        with make(song_server_apart, timeout=GUARD_S) as client:
            seen.append(outcome(ask, client))
    assert_same(*seen)
    assert isinstance(seen[0], SongPrediction) is (name in ("windows", "overlapping"))


def test_features_are_computed_off_the_loop(
    song_server_apart: str, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()
    real = Song.batches

    def watched(self: Song) -> Iterator[Any]:
        for batch in real(self):
            threads.add(threading.get_ident())
            yield batch

    async def main() -> None:
        async with AsyncClient(song_server_apart, timeout=GUARD_S) as client:
            assert len(await client.classify_song(song, model="few", window=0.5)) == 36

    monkeypatch.setattr(Song, "batches", watched)
    asyncio.run(main())
    assert threads
    assert threading.get_ident() not in threads


def test_two_songs_at_once_get_their_own_answers(song_server_apart: str, tmp_path: Path) -> None:
    paths = [write_recording(tmp_path / f"{kind}.wav", kind) for kind in KINDS]

    async def main() -> None:
        async with AsyncClient(song_server_apart, timeout=GUARD_S) as client:
            answers = await asyncio.gather(*(client.classify_song(path, model="songs") for path in paths))
        assert [answer.label for answer in answers] == list(KINDS)
        assert [answer.path for answer in answers] == [str(path) for path in paths]

    asyncio.run(main())


def test_cancelling_waits_for_the_thread_and_leaves_no_task(
    song_server_apart: str, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    real = Song.batches

    def waiting(self: Song) -> Iterator[Any]:
        for batch in real(self):
            begun.set()
            go_on.wait(GUARD_S)
            yield batch

    monkeypatch.setattr(Song, "batches", waiting)

    async def main() -> None:
        async with AsyncClient(song_server_apart, timeout=GUARD_S) as client:
            classifying = asyncio.create_task(client.classify_song(song, model="few", window=0.1))
            assert await asyncio.to_thread(begun.wait, GUARD_S)
            assert not classifying.done()
            classifying.cancel()
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await classifying
            assert not any(task.get_name().startswith("genrestack-") for task in asyncio.all_tasks())

    asyncio.run(main(), debug=True)


def test_a_thread_is_waited_for_before_a_cancelled_task_ends() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        time.sleep(0.2)
        ended.set()
        raise OSError("nobody takes this any more")

    async def main() -> None:
        working = asyncio.create_task(in_thread(work))
        await asyncio.to_thread(begun.wait, GUARD_S)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert ended.is_set()
        with pytest.raises(OSError, match="nobody"):
            await in_thread(work)

    asyncio.run(main(), debug=True)
