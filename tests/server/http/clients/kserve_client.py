"""Run by the Python of an environment that has KServe: `kserve_client.py HOST:PORT ROWS`; says what it was answered."""

import asyncio
import json
import sys
from typing import Any

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

OUTPUTS = ("label", "class_index", "probabilities", "probabilities.left")


async def ask(client: Any, url: str, rows: Any, dtype: str, *, raw: bool) -> dict[str, Any]:
    values = np.array(rows, dtype=dtype)
    tensor = InferInput("features", list(values.shape), {"float32": "FP32", "float64": "FP64"}[dtype])
    tensor.set_data_from_numpy(values, binary_data=raw)
    wanted = [RequestedOutput(name, {"binary_data": raw}) for name in OUTPUTS]
    request = InferRequest(model_name="tiny", infer_inputs=[tensor], request_id="five", request_outputs=wanted)
    response = await client.infer(url, request, model_name="tiny")
    label, *numbers = response.outputs
    return {
        "id": response.id,
        # Its reader drops the version.
        "model": f"{response.model_name}/1",
        "label": [name.decode() if isinstance(name, bytes) else name for name in label.as_numpy()],
        **{output.name: output.as_numpy().tolist() for output in numbers},
    }


async def main(address: str, rows: Any) -> None:
    url = f"http://{address}"
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        answers: dict[str, Any] = {
            "live": await client.is_server_live(url),
            "ready": await client.is_server_ready(url) and await client.is_model_ready(url, "tiny"),
            "unloaded": not await client.is_model_ready(url, "other"),
        }
        for dtype in ("float32", "float64"):
            for raw in (False, True):
                form = f"{dtype} {'raw' if raw else 'typed'}"
                answers[form] = await ask(client, url, rows, dtype, raw=raw)
        try:
            tensor = InferInput("features", [0, 4], "FP32", data=[])
            await client.infer(url, InferRequest(model_name="rock", infer_inputs=[tensor]), model_name="rock")
        except httpx.HTTPStatusError as error:
            answers["refused"] = error.response.json()["code"]
    print(json.dumps(answers))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
