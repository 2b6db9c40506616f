"""How a channel is made from options: credentials, arguments, and the service config that gRPC itself acts on."""

import json
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from grpc import aio
from grpc_health.v1 import health_pb2

from genrestack._core.connection.options import ClientOptions
from genrestack._core.retry import RetryOptions
from genrestack.errors import GenreStackError, Unavailable
from genrestack_proto.v1 import prediction_pb2 as pb

_UNARY: Final = ("Predict", "ListModels", "GetModel")
MOST_ATTEMPTS: Final = 5
"""gRPC itself makes no more of one call."""
SERVICE: Final = "genrestack.v1.PredictionService"


def blocking_channel(options: ClientOptions) -> grpc.Channel:
    """Make the channel of `Client`; it connects when first used."""
    arguments = channel_arguments(options)
    if options.credentials is None:
        return grpc.insecure_channel(options.address.target, arguments)
    return grpc.secure_channel(options.address.target, options.credentials, arguments)


def awaited_channel(options: ClientOptions, *further: tuple[str, str | int]) -> aio.Channel:
    """Make the channel of `AsyncClient`, in the running loop; `further` arguments win."""
    arguments = [*channel_arguments(options), *further]
    if options.credentials is None:
        return aio.insecure_channel(options.address.target, arguments)
    return aio.secure_channel(options.address.target, options.credentials, arguments)


def channel_arguments(options: ClientOptions) -> list[tuple[str, str | int]]:
    """GRPC channel arguments for these options; the caller's own come last and win."""
    arguments: dict[str, str | int] = {
        "grpc.max_send_message_length": options.max_message_bytes,
        "grpc.max_receive_message_length": options.max_message_bytes,
        # gRPC waits a second and more before it connects again; a retry within that time would only repeat the error.
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.max_reconnect_backoff_ms": max(100, int(options.retry.max_backoff * 1000)),
        "grpc.service_config": json.dumps(service_config(options)),
        # What is larger than this cannot be sent again by gRPC.
        "grpc.per_rpc_retry_buffer_size": options.max_message_bytes,
    }
    if options.address.loopback:
        # A proxy set up for the outside world cannot reach this machine's loopback.
        arguments["grpc.enable_http_proxy"] = 0
    if options.tls_options is not None and options.tls_options.server_name is not None:
        arguments["grpc.ssl_target_name_override"] = options.tls_options.server_name
    if options.keepalive is not None:
        arguments["grpc.keepalive_time_ms"] = int(options.keepalive.interval * 1000)
        arguments["grpc.keepalive_timeout_ms"] = int(options.keepalive.timeout * 1000)
        arguments["grpc.keepalive_permit_without_calls"] = int(options.keepalive.idle)
        if options.keepalive.idle:
            # gRPC gives up after two pings without data otherwise.
            arguments["grpc.http2.max_pings_without_data"] = 0
    return list((arguments | dict(options.channel_options)).items())


def attempts_at_once(retry: RetryOptions) -> int:
    """How often gRPC itself makes a call before it reports that the server is unavailable."""
    return min(retry.attempts, MOST_ATTEMPTS)


def attempts_made(error: GenreStackError, retry: RetryOptions, seconds: float) -> int:
    """Return how often gRPC itself can have made a call that failed after `seconds`, which it does not report.

    It repeats only what was unavailable, and nothing once an answer has begun. Its waits are within a fifth of what
    they should be; counting half of each errs on the side of fewer repetitions.
    """
    if not isinstance(error, Unavailable):
        return 1
    made, wait, least = 1, retry.initial_backoff, 0.0
    while made < attempts_at_once(retry) and (least := least + wait / 2) <= seconds:
        made, wait = made + 1, min(retry.max_backoff, wait * retry.multiplier)
    return made


def service_config(options: ClientOptions) -> dict[str, Any]:
    """Balance and retry as gRPC does by itself; its form is gRPC's (grpc.service_config.ServiceConfig as JSON).

    Streams are not in it: they are taken up again where they broke, which gRPC cannot. Nor is the health service: what
    asks whether a server is there wants to know it at once.

    Of several servers, those that say NOT_SERVING are left out: one that drains or still loads takes connections and
    refuses every call, at once, and would get its share of the calls all the same.
    """
    config: dict[str, Any] = {"loadBalancingConfig": [{options.balancing: {}}]}
    if options.balancing == "round_robin":
        config["healthCheckConfig"] = {"serviceName": SERVICE}
    if options.retry.attempts > 1:
        names = [{"service": SERVICE, "method": method} for method in _UNARY]
        config["methodConfig"] = [{"name": names, "retryPolicy": _retry_policy(options.retry)}]
    return config


def _retry_policy(retry: RetryOptions) -> dict[str, Any]:
    return {
        "maxAttempts": attempts_at_once(retry),
        "initialBackoff": f"{retry.initial_backoff:.9f}s",
        "maxBackoff": f"{retry.max_backoff:.9f}s",
        "backoffMultiplier": retry.multiplier,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }


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
