"""Both clients behind one face, and what they came to in a form that can be compared."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from inspect import isasyncgen, iscoroutine
from typing import Any, Self, cast

import numpy as np
from support.waiting import GUARD_S

from genrestack import AsyncClient, Client, GenreStackError

Ask = Callable[[Client], Any]


async def until(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(GUARD_S):
        while not happened():  # noqa: ASYNC110 - what happens, happens in other threads or in gRPC
            await asyncio.sleep(0.005)


def _is_of_a_loop_that_is_gone(report: dict[str, Any]) -> bool:
    """Return whether gRPC found what belonged to a loop that was closed before: all its loops share one queue."""
    return "PollerCompletionQueue._handle_events" in report["message"] and isinstance(report["exception"], RuntimeError)


class Driven:
    """An AsyncClient that is driven step by step from plain code, in a loop of its own.

    Closing it checks that no task is left and that nothing was reported to the loop.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._runner = asyncio.Runner(debug=True)
        self._reports: list[dict[str, Any]] = []
        self._runner.get_loop().set_exception_handler(lambda _, report: self._reports.append(report))
        self._client = AsyncClient(*args, **settings)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            answer = getattr(self._client, name)(*args, **kwargs)
            if isasyncgen(answer):
                return self._each(cast(AsyncGenerator[Any, None], answer))
            return self._runner.run(answer) if iscoroutine(answer) else answer

        return call

    def _each(self, answers: AsyncGenerator[Any, None]) -> Iterator[Any]:
        async def step() -> Any:
            return await anext(answers)

        try:
            while True:
                try:
                    answer = self._runner.run(step())
                except StopAsyncIteration:
                    return
                yield answer
        finally:
            self._runner.run(cast(Any, answers.aclose()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            await self._client.close()
            assert [task for task in asyncio.all_tasks() if task.get_name().startswith("genrestack-")] == []
            # gRPC's own may take another turn of the loop.
            await until(lambda: len(asyncio.all_tasks()) == 1)

        with self._runner:
            self._runner.run(end())
        reports = [report for report in self._reports if not _is_of_a_loop_that_is_gone(report)]
        assert reports == [], reports


def driven(*args: Any, **settings: Any) -> Client:
    return cast(Client, Driven(*args, **settings))


BOTH_CLIENTS: tuple[Callable[..., Client], ...] = (Client, driven)


@dataclass
class Raised:
    """An exception, in what callers see of it."""

    kind: type[Exception]
    text: str
    violations: object
    retry_after: object

    @classmethod
    def of(cls, error: GenreStackError) -> "Raised":
        return cls(type(error), str(error), getattr(error, "violations", None), getattr(error, "retry_after", None))


def outcome(ask: Ask, client: Client) -> Any:
    """What asking gave: the answer, answers, or exception."""
    try:
        answer = ask(client)
        if isinstance(answer, Iterator):
            answer = list(answer)
    except GenreStackError as error:
        return Raised.of(error)
    return [Raised.of(a) if isinstance(a, GenreStackError) else a for a in answer] if type(answer) is list else answer


def assert_same(one: Any, other: Any, *, atol: float = 1e-6) -> None:
    """Compare deeply; probabilities may differ by `atol`, by default what a batch's company changes."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b, atol=atol)
    elif is_dataclass(one):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name), atol=atol)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        assert_same(list(one.values()), list(other.values()), atol=atol)
    else:
        assert isinstance(one, str | int | float | tuple | type | None)
        assert one == other
