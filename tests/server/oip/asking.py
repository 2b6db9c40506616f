"""Requests as a user of tritonclient writes them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2
from tritonclient.utils import np_to_triton_dtype

BASE_OUTPUTS = ("probabilities.left", "probabilities.right")


def features(rows: npt.NDArray[np.floating]) -> list[Any]:
    """The one input, of the rows' own datatype."""
    tensor = triton.InferInput("features", list(rows.shape), np_to_triton_dtype(rows.dtype))
    tensor.set_data_from_numpy(rows)
    return [tensor]


def outputs(*names: str) -> list[Any]:
    return [triton.InferRequestedOutput(name) for name in names]


def typed(rows: npt.NDArray[np.floating], *names: str, **fields: Any) -> Any:
    """A request whose values are plain numbers, as generic tools make it."""
    datatype = np_to_triton_dtype(rows.dtype)
    tensor = service_pb2.ModelInferRequest.InferInputTensor(name="features", datatype=datatype, shape=rows.shape)
    getattr(tensor.contents, f"{datatype.lower()}_contents").extend(rows.ravel().tolist())
    wanted = [service_pb2.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in names]
    return service_pb2.ModelInferRequest(model_name="tiny", inputs=[tensor], outputs=wanted, **fields)
