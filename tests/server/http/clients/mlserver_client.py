"""Run by the Python of an environment that has MLServer: `mlserver_client.py HOST:PORT ROWS`; says what it was
answered: its types and codecs, sent and read by the standard library.
"""

import json
import sys
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse, RequestOutput

OUTPUTS = ("label", "class_index", "probabilities", "probabilities.left")


def get(url: str) -> Any:
    try:
        with urlopen(url, timeout=60) as response:
            return json.load(response)
    except HTTPError as error:
        return json.load(error)


def ask(url: str, rows: Any, dtype: str) -> dict[str, Any]:
    tensor = NumpyCodec.encode_input("features", np.array(rows, dtype=dtype))
    request = InferenceRequest(id="five", inputs=[tensor], outputs=[RequestOutput(name=name) for name in OUTPUTS])
    body = request.model_dump_json(exclude_none=True).encode()
    with urlopen(Request(f"{url}/v2/models/tiny/infer", body), timeout=60) as answer:
        response = InferenceResponse.model_validate_json(answer.read())
    label, *numbers = response.outputs
    return {
        "id": response.id,
        "model": f"{response.model_name}/{response.model_version}",
        "label": StringCodec.decode_output(label),
        **{output.name: NumpyCodec.decode_output(output).tolist() for output in numbers},
    }


def main(address: str, rows: Any) -> None:
    url = f"http://{address}"
    answers: dict[str, Any] = {
        "live": get(f"{url}/v2/health/live")["live"],
        "ready": get(f"{url}/v2/health/ready")["ready"],
        "unloaded": not get(f"{url}/v2/models/other/ready")["ready"],
        "refused": get(f"{url}/v2/models/rock")["code"],
    }
    for dtype in ("float32", "float64"):
        # Its types know no bytes by HTTP: both forms are the one that there is.
        answers[f"{dtype} typed"] = answers[f"{dtype} raw"] = ask(url, rows, dtype)
    print(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
