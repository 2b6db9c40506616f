"""The synchronous client, made from the asynchronous one."""

import pytest

from tools import unasync

ASYNC = '''"""The asynchronous client."""
# ruff: noqa: ASYNC109 - as in the sync client

import asyncio
from collections.abc import AsyncGenerator, Iterable

from genrestack._async.tasks import each_in_thread, entered_in_thread


class AsyncThing:
    """A thing; `AsyncCall` is another."""

    async def items(self, batches: Iterable[Any] | AsyncIterable[Any]) -> AsyncGenerator[list[int], None]:
        async with entered_in_thread(opened(self)) as song, aclosing(song):
            await asyncio.sleep(1)
            # From here on nothing is awaited: so it is.
            async for item in each_in_thread(song):
                yield await item

    async def __aenter__(self) -> "Self":
        return self
'''
SYNC = '''"""The synchronous client."""

import time
from collections.abc import Generator, Iterable



class Thing:
    """A thing; `Call` is another."""

    def items(self, batches: Iterable[Any] ) -> Generator[list[int], None, None]:
        with (opened(self)) as song, closing(song):
            time.sleep(1)
            for item in (song):
                yield item

    def __enter__(self) -> "Self":
        return self
'''


def test_the_files_that_are_checked_in_are_those_that_are_generated() -> None:
    for path, text in unasync.generate_all().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale; run: python tools/unasync.py"
        assert text.startswith(f"# Generated from genrestack/_async/{path.name} by `python tools/unasync.py`;")


def test_asynchronous_code_becomes_synchronous() -> None:
    # Spaces and parentheses are left for ruff.
    assert unasync.to_sync(ASYNC) == SYNC


def test_a_table_with_an_entry_that_nothing_matches_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(unasync.PHRASES, "asyncio.gather_all", "")
    with pytest.raises(SystemExit, match=r"not there any more: 'asyncio\.gather_all'"):
        unasync.generate_all()


def test_a_stale_file_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(unasync.TEXTS, "The asynchronous client.", "The other client.")
    assert unasync.main(["--check"]) == 1
    shown = capsys.readouterr()
    assert '-"""The synchronous client."""\n+"""The other client."""' in shown.out
    assert "python tools/unasync.py" in shown.err
