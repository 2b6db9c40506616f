"""Run by the Python of an environment that has tritonclient with gevent: `tritonclient_client.py HOST:PORT ROWS`; says
what it was answered.
"""

import json
import sys
from typing import Any

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

OUTPUTS = ("label", "class_index", "probabilities", "probabilities.left")


def ask(client: Any, rows: Any, dtype: str, *, raw: bool) -> dict[str, Any]:
    values = np.array(rows, dtype=dtype)
    tensor = triton.InferInput("features", list(values.shape), {"float32": "FP32", "float64": "FP64"}[dtype])
    tensor.set_data_from_numpy(values, binary_data=raw)
    wanted = [triton.InferRequestedOutput(name, binary_data=raw) for name in OUTPUTS]
    result = client.infer("tiny", [tensor], request_id="five", outputs=wanted)
    response = result.get_response()
    label, *numbers = OUTPUTS
    return {
        "id": response["id"],
        "model": f"{response['model_name']}/{response['model_version']}",
        "label": [name.decode() if isinstance(name, bytes) else name for name in result.as_numpy(label)],
        **{name: result.as_numpy(name).tolist() for name in numbers},
    }


def main(address: str, rows: Any) -> None:
    with triton.InferenceServerClient(address) as client:
        answers: dict[str, Any] = {
            "live": client.is_server_live(),
            "ready": client.is_server_ready() and client.is_model_ready("tiny"),
            "unloaded": not client.is_model_ready("other"),
        }
        for dtype in ("float32", "float64"):
            for raw in (False, True):
                answers[f"{dtype} {'raw' if raw else 'typed'}"] = ask(client, rows, dtype, raw=raw)
        # By the pool of connections that only this client has.
        values = np.array(rows, dtype=np.float32)
        tensor = triton.InferInput("features", list(values.shape), "FP32")
        tensor.set_data_from_numpy(values)
        assert client.async_infer("tiny", [tensor]).get_result().as_numpy("probabilities").shape == (2, 3)
        try:
            client.get_model_metadata("rock")
        except InferenceServerException as error:
            answers["refused"] = {"404": "NOT_FOUND"}[error.status()]
    print(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
