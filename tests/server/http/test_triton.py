"""tritonclient's own client for HTTP, unmodified: its requests go out, and its reader takes what comes back."""

import asyncio
import importlib
import json
import shutil
import sys
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from server.bundles.tiny import CLASSES, TinyStack, draw_rows, write_tiny
from server.http.asking import http_port
from server.running.live import Running, RunServer
from tritonclient.utils import InferenceServerException

OUTPUTS = ("label", "class_index", "probabilities", "probabilities.left")


@pytest.fixture(scope="module")
def triton() -> Any:
    """The client that uses aiohttp.

    Its package wants gevent for the other one, and rapidjson; where they are not installed, it is given what it can be
    imported with: the standard library's json.
    """
    lent: dict[str, ModuleType] = {}
    if find_spec("rapidjson") is None:
        lent["rapidjson"] = json
    if find_spec("geventhttpclient") is None:
        for name in ("gevent", "gevent.pool", "geventhttpclient", "geventhttpclient.url"):
            lent[name] = ModuleType(name)
        lent["geventhttpclient"].HTTPClient = lent["geventhttpclient.url"].URL = object  # type: ignore[attr-defined]
    sys.modules |= lent
    try:
        return importlib.import_module("tritonclient.http.aio")
    finally:
        for name in lent:
            del sys.modules[name]


def with_client(triton: Any, running: Running, work: Callable[[Any], Awaitable[None]]) -> None:
    async def run() -> None:
        async with triton.InferenceServerClient(f"127.0.0.1:{http_port(running)}") as client:
            await work(client)

    asyncio.run(run())


def features(triton: Any, rows: Any, *, binary: bool = True) -> list[Any]:
    tensor = triton.InferInput("features", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows, binary_data=binary)
    return [tensor]


def wanted(triton: Any, *, binary: bool) -> list[Any]:
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in OUTPUTS]


@pytest.mark.parametrize("sent", [True, False], ids=["bytes there", "JSON there"])
@pytest.mark.parametrize("back", [None, True, False], ids=["as it likes", "bytes back", "JSON back"])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_infer(
    triton: Any, http_server: Running, stack: TinyStack, sent: bool, back: bool | None, compression: str | None
) -> None:
    rows = draw_rows(300)

    async def work(client: Any) -> None:
        outputs = None if back is None else wanted(triton, binary=back)
        result = await client.infer(
            "tiny",
            features(triton, rows, binary=sent),
            model_version="1",
            outputs=outputs,
            request_id="7",
            priority=1,
            timeout=60_000_000,
            request_compression_algorithm=compression,
            response_compression_algorithm=compression,
        )
        assert result.get_response()["id"] == "7"
        expected = stack.predict_proba(rows)
        np.testing.assert_allclose(result.as_numpy("probabilities"), expected, atol=1e-6)
        np.testing.assert_array_equal(result.as_numpy("class_index"), expected.argmax(axis=1))
        labels = [text.decode() if isinstance(text, bytes) else text for text in result.as_numpy("label").tolist()]
        assert labels == [CLASSES[index] for index in expected.argmax(axis=1)]
        if back is not None:
            left = stack.base(rows)["left"]
            np.testing.assert_allclose(result.as_numpy("probabilities.left"), left, atol=1e-6)

    with_client(triton, http_server, work)


def test_what_describes_and_health(triton: Any, http_server: Running) -> None:
    async def work(client: Any) -> None:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("tiny")
        assert await client.is_model_ready("tiny", "2")
        assert not await client.is_model_ready("tiny", "3")
        assert not await client.is_model_ready("other")
        assert (await client.get_server_metadata())["name"] == "genrestack"
        assert (await client.get_model_metadata("tiny"))["versions"] == ["1", "2"]
        statistics = await client.get_inference_statistics("tiny", "2")
        assert statistics["model_stats"][0]["version"] == "2"
        assert len((await client.get_inference_statistics())["model_stats"]) == 2
        with pytest.raises(InferenceServerException, match=r"\[404\] there is no model 'other' here"):
            await client.infer("other", features(triton, draw_rows(1)))
        with pytest.raises(InferenceServerException, match=r"\[400\] inputs\[0\]\.shape"):
            await client.infer("tiny", features(triton, draw_rows(1)[:, :3]))

    with_client(triton, http_server, work)


def test_load_and_unload(triton: Any, tmp_path: Path, stack: TinyStack, run_server: RunServer) -> None:
    for name in ("tiny", "other"):
        write_tiny(tmp_path, name, stack)

    async def work(client: Any) -> None:
        index = {entry["name"]: entry["state"] for entry in await client.get_model_repository_index()}
        assert index["tiny"] == "READY"
        await client.load_model("other")
        assert await client.is_model_ready("other")
        await client.unload_model("tiny", unload_dependents=True)
        assert not await client.is_model_ready("tiny")
        with pytest.raises(InferenceServerException, match=r"\[400\] parameters\[config\]"):
            await client.load_model("tiny", config="{}")
        with pytest.raises(InferenceServerException, match=r"\[400\] parameters\[(config|file)\]"):
            await client.load_model("tiny", config="{}", files={"file:1/x.onnx": b"x"})
        shutil.rmtree(tmp_path / "tiny")
        with pytest.raises(InferenceServerException, match=r"\[404\]"):
            await client.load_model("tiny")

    options: dict[str, Any] = {"repository_mode": "explicit", "load_models": ("tiny",), "management": "open"}
    with run_server(tmp_path, http_port=0, **options) as running:
        with_client(triton, running, work)
