"""Options of gRPC's transport: sizes, numbers, ages, pings."""

from typing import Final

from genrestack_server.config.server_config import ServerConfig

# What a call may send ahead of being read. gRPC otherwise widens it by what the connection could carry, on a quick
# network tens of megabytes, and holds that much for every call. A large message gets more as soon as it is read.
_WINDOW_BYTES: Final = 128 * 1024
# Calls that may wait for this process to take them; gRPC's default is three times as many.
_MAX_PENDING_CALLS: Final = 1000
# gRPC's own default refuses metadata between 8 and 16 KiB at random.
_METADATA_BYTES: Final = 16 * 1024
# A client that is gone without a word is noticed after these two together.
_KEEPALIVE_MS: Final = 60_000
_KEEPALIVE_TIMEOUT_MS: Final = 20_000
# A client that connects and then says nothing; gRPC's default is two minutes.
_HANDSHAKE_TIMEOUT_MS: Final = 20_000
# A connection without a call; clients of gRPC's make another one when they next need it.
_MAX_IDLE_MS: Final = 300_000


# Calls of every kind that may be open, those whose caller does not take the answer among them.
_MAX_CALLS: Final = 10_000
# Calls beyond --max-concurrent-rpcs: of health and other small methods, and such as are just being refused.
_OTHER_CALLS: Final = 1024


def max_calls(config: ServerConfig) -> int:
    """Return how many calls gRPC may have in hand at once, whatever they are."""
    return _MAX_CALLS if config.max_concurrent_rpcs is None else config.max_concurrent_rpcs + _OTHER_CALLS


def channel_options(config: ServerConfig, *, shares_port: bool = False) -> list[tuple[str, int]]:
    """Translate the limits into gRPC's channel arguments."""
    options = [
        # On by default, with which a second server on a busy port takes half its connections without a word.
        ("grpc.so_reuseport", int(shares_port)),
        # Answers have no such limit: theirs is looked at before they are computed.
        ("grpc.max_receive_message_length", config.max_message_bytes),
        # See `compression`.
        ("grpc.per_message_decompression", 0),
        ("grpc.max_allowed_incoming_connections", config.max_connections),
        ("grpc.max_connection_idle_ms", _MAX_IDLE_MS),
        ("grpc.server.max_pending_requests_hard_limit", _MAX_PENDING_CALLS),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _METADATA_BYTES),
        ("grpc.max_concurrent_streams", config.max_connection_streams),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_TIMEOUT_MS),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", _WINDOW_BYTES),
        ("grpc.http2.max_pings_without_data", 0),
        # Without it a client between calls may ping once in two hours, whatever the interval below says.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _ms(config.min_ping_interval)),
    ]
    if config.max_connection_age is not None:
        options += [
            ("grpc.max_connection_age_ms", _ms(config.max_connection_age)),
            ("grpc.max_connection_age_grace_ms", _ms(config.max_connection_age_grace)),
        ]
    return options


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
