"""The methods that a client calls, on a channel of either kind."""

from typing import Any, Final

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from genrestack_proto.v1 import prediction_pb2 as pb

SERVICE: Final = "genrestack.v1.PredictionService"


class Methods:
    """Takes messages and returns answers as bytes, which are parsed and checked by the client itself.

    gRPC's own parsing ends in INTERNAL with text of its own for one kind of channel, and in a bare DecodeError for the
    other; and it would parse an answer before anybody has looked at its size.
    """

    # Calls of the two kinds of channel share no type.
    def __init__(self, channel: Any) -> None:
        def unary(name: str, request: type[Message]) -> Any:
            return channel.unary_unary(name, request_serializer=request.SerializeToString)

        self.predict: Any = unary(f"/{SERVICE}/Predict", pb.PredictRequest)
        self.predict_stream: Any = channel.stream_stream(
            f"/{SERVICE}/PredictStream", request_serializer=pb.PredictRequest.SerializeToString
        )
        self.list_models: Any = unary(f"/{SERVICE}/ListModels", pb.ListModelsRequest)
        self.get_model: Any = unary(f"/{SERVICE}/GetModel", pb.GetModelRequest)
        self.check_health: Any = unary("/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest)
