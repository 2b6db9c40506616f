"""Ask a running server from asyncio: many callers at once, and a stream fed by a source that takes its time.

Start a server first, then run this beside it:

    genrestack serve models
    python examples/async_predict.py localhost:50051
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing

from genrestack import AsyncClient

CALLERS = 20
Row = list[float]


async def arriving(count: int, features: int) -> AsyncIterator[list[Row]]:
    """Stand for a queue, a socket, another service: one batch of one row now and then."""
    for number in range(count):
        await asyncio.sleep(0.01)
        yield [[float(number)] * features]


async def main(target: str) -> None:
    async with AsyncClient(target) as client:
        await client.wait_until_ready(60)
        model = await client.model()
        features = len(model.feature_names)

        # One client serves all tasks; each call is one request of its own.
        asked = [client.predict([[float(row)] * features]) for row in range(CALLERS)]
        answers = await asyncio.gather(*asked)
        print(f"{model.name}/{model.version} answered {CALLERS} callers: {[a.labels[0] for a in answers]}")

        # An answer comes as soon as it is there, whether or not the next batch has arrived. `aclosing` ends the stream
        # at once where the loop is left before its end.
        taken = 0
        async with aclosing(client.predict_stream(arriving(1000, features))) as stream:
            async for answer in stream:
                taken += 1
                print(f"batch {taken}: {answer.labels[0]} (p = {answer.probabilities[0].max():.3f})")
                if taken == 3:
                    break

        # A call ends with whoever waits for it.
        try:
            async with asyncio.timeout(0.0001):
                await client.predict([[0.0] * features])
        except TimeoutError:
            print("gave up on one; the server was told")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "localhost:50051"))
