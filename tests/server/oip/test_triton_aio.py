"""The unmodified tritonclient for asyncio, against the real server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc.aio as triton
from server.bundles.tiny import TinyStack, draw_rows
from server.oip.asking import features, outputs
from server.running.live import Running
from tritonclient.utils import InferenceServerException

ROWS = draw_rows(3)


def test_everything_once(tiny_server: Running, stack: TinyStack) -> None:
    async def ask() -> None:
        async with triton.InferenceServerClient(f"127.0.0.1:{tiny_server.port}") as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready("tiny")
            assert not await client.is_model_ready("rock")
            assert (await client.get_server_metadata(as_json=True))["name"] == "genrestack"
            assert (await client.get_model_metadata("tiny")).platform == "onnxruntime_onnx"
            index = await client.get_model_repository_index(as_json=True)
            assert {"name": "tiny", "version": "2", "state": "READY"} in index["models"]
            assert (await client.get_inference_statistics("tiny")).model_stats[0].version == "2"
            await check(client)

    async def check(client: Any) -> None:
        answers = await asyncio.gather(*[client.infer("tiny", features(ROWS), request_id=str(i)) for i in range(30)])
        for number, answer in enumerate(answers):
            assert answer.get_response().id == str(number)
            np.testing.assert_allclose(answer.as_numpy("probabilities"), stack.predict_proba(ROWS), atol=1e-6)
        with pytest.raises(InferenceServerException, match=r"NOT_FOUND.*there is no model 'rock'"):
            await client.infer("rock", features(ROWS))

    asyncio.run(ask())


def test_a_stream_with_a_bad_item(tiny_server: Running, stack: TinyStack) -> None:
    async def requests() -> AsyncIterator[dict[str, Any]]:
        for number in range(40):
            rows = draw_rows(2, seed=number)
            if number == 7:
                rows[1, 2] = np.nan
            yield {
                "model_name": "tiny",
                "inputs": features(rows),
                "outputs": outputs("probabilities"),
                "request_id": str(number),
            }

    async def ask() -> list[tuple[Any, Any]]:
        async with triton.InferenceServerClient(f"127.0.0.1:{tiny_server.port}") as client:
            return [answer async for answer in client.stream_infer(requests())]

    answers = asyncio.run(ask())
    assert len(answers) == 40
    for number, (result, error) in enumerate(answers):
        if number == 7:
            assert "rows[1].tempo: feature 'tempo' of row 1 is NaN" in error.message()
        else:
            assert error is None
            expected = stack.predict_proba(draw_rows(2, seed=number))
            np.testing.assert_allclose(result.as_numpy("probabilities"), expected, atol=1e-6)
            assert result.get_response().id == str(number)
