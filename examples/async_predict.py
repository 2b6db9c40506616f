"""Ask from asyncio: many callers at once, and a stream fed by a source that takes its time.

$ genrestack demo
$ genrestack serve demo/models &
$ python examples/async_predict.py
"""

import asyncio
import csv
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

from genrestack import AsyncClient

TABLE = Path("demo/unseen.csv")
Row = list[float]


def read_rows(features: Sequence[str]) -> list[Row]:
    with TABLE.open(newline="", encoding="utf-8") as file:
        return [[float(piece[name]) for name in features] for piece in csv.DictReader(file)]


async def arriving(rows: list[Row]) -> AsyncIterator[list[Row]]:
    """Stand for a queue, a socket, another service: one batch of one row now and then."""
    for row in rows:
        await asyncio.sleep(0.01)
        yield [row]


async def main(target: str) -> None:
    async with AsyncClient(target) as client:
        await client.wait_until_ready(60)
        model = await client.model()
        rows = read_rows(model.feature_names)

        # An answer comes as soon as it is there, whether or not the next batch has arrived. `aclosing` ends the stream
        # at once where the loop is left before its end.
        taken = 0
        async with aclosing(client.predict_stream(arriving(rows))) as stream:
            async for answer in stream:
                taken += 1
                print(f"batch {taken}: {answer.labels[0]} (p = {answer.probabilities[0].max():.3f})")
                if taken == 3:
                    break

        # Cancelling the task cancels its call.
        try:
            async with asyncio.timeout(0.0001):
                await client.predict(rows)
        except TimeoutError:
            print("gave up on one; the server was told")

        # One client serves all tasks; each call is one request of its own, and the server puts them together.
        began = time.monotonic()
        answers = await asyncio.gather(*(client.predict([row]) for row in rows))
        took = time.monotonic() - began

    heard = Counter(answer.labels[0] for answer in answers)
    print(f"\n{len(rows)} callers at once, all answered after {took:.2f} s. They heard:\n")
    for style, times in heard.most_common():
        print(f"  {style:14} {'♪' * times}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "localhost:50051"))
