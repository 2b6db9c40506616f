"""Run by the Python of an environment that has KServe: `kserve_client.py HOST:PORT ROWS`; says what it was answered."""

import asyncio
import json
import sys
from typing import Any

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.infer_type import RequestedOutput

OUTPUTS = ("label", "class_index", "probabilities", "probabilities.left")


async def ask(client: Any, rows: Any, dtype: str, *, use_raw: bool) -> dict[str, Any]:
    values = np.array(rows, dtype=dtype)
    tensor = InferInput("features", list(values.shape), {"float32": "FP32", "float64": "FP64"}[dtype])
    tensor.set_data_from_numpy(values, binary_data=use_raw)
    wanted = [RequestedOutput(name) for name in OUTPUTS]
    request = InferRequest(model_name="tiny", infer_inputs=[tensor], request_id="five", request_outputs=wanted)
    response = await client.infer(request)
    label, *numbers = response.outputs
    return {
        "id": response.id,
        "model": f"{response.model_name}/{response.model_version}",
        "label": [text(name) for name in label.as_numpy()],
        **{output.name: output.as_numpy().tolist() for output in numbers},
    }


def text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


async def main(address: str, rows: Any) -> None:
    async with InferenceGRPCClient(address) as client:
        answers: dict[str, Any] = {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready() and await client.is_model_ready("tiny"),
            "unloaded": not await client.is_model_ready("other"),
        }
        for dtype in ("float32", "float64"):
            for use_raw in (False, True):
                form = f"{dtype} {'raw' if use_raw else 'typed'}"
                answers[form] = await ask(client, rows, dtype, use_raw=use_raw)
        try:
            await client.infer(InferRequest(model_name="rock", infer_inputs=[]))
        except grpc.RpcError as error:
            answers["refused"] = error.code().name
    print(json.dumps(answers))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
