"""Run by the Python of an environment that has MLServer: `mlserver_client.py HOST:PORT ROWS`; says what it was
answered.

The server is told to manage models by request and has loaded `tiny`; `other` lies in its repository.
"""

import json
import sys
from typing import Any

import grpc
import numpy as np
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.grpc import converters, dataplane_pb2_grpc
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.types import InferenceRequest, RequestOutput


def ask(stub: Any, rows: Any, dtype: str, *, use_raw: bool) -> dict[str, Any]:
    tensor = NumpyCodec.encode_input("features", np.array(rows, dtype=dtype))
    names = ("label", "class_index", "probabilities", "probabilities.left")
    request = InferenceRequest(id="five", inputs=[tensor], outputs=[RequestOutput(name=name) for name in names])
    message = converters.ModelInferRequestConverter.from_types(request, model_name="tiny", use_raw=use_raw)
    answer = stub.ModelInfer(message, timeout=20)
    assert bool(answer.raw_output_contents) == use_raw
    response = converters.ModelInferResponseConverter.to_types(answer)
    label, *numbers = response.outputs
    return {
        "id": response.id,
        "model": f"{response.model_name}/{response.model_version}",
        "label": StringCodec.decode_output(label),
        **{output.name: NumpyCodec.decode_output(output).tolist() for output in numbers},
    }


def main(address: str, rows: Any) -> None:
    with grpc.insecure_channel(address) as channel:
        stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)
        metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="tiny"), timeout=20)
        stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="other"), timeout=20)
        loaded = stub.ModelReady(pb.ModelReadyRequest(name="other"), timeout=20).ready
        stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="other"), timeout=20)
        answers = {
            "live": stub.ServerLive(pb.ServerLiveRequest(), timeout=20).live,
            "ready": stub.ServerReady(pb.ServerReadyRequest(), timeout=20).ready,
            "server": stub.ServerMetadata(pb.ServerMetadataRequest(), timeout=20).name,
            "platform": metadata.platform,
            "outputs": [output.name for output in metadata.outputs],
            "loaded": loaded,
            "unloaded": not stub.ModelReady(pb.ModelReadyRequest(name="other"), timeout=20).ready,
            "index": [entry.name for entry in stub.RepositoryIndex(pb.RepositoryIndexRequest(), timeout=20).models],
            "refused": refusal(stub),
        }
        for dtype in ("float32", "float64"):
            for use_raw in (False, True):
                answers[f"{dtype} {'raw' if use_raw else 'typed'}"] = ask(stub, rows, dtype, use_raw=use_raw)
    print(json.dumps(answers))


def refusal(stub: Any) -> str:
    try:
        stub.ModelInfer(pb.ModelInferRequest(model_name="rock"), timeout=20)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "answered"


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
