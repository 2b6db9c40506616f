"""What gRPC's transport is told: sizes, ages, pings."""

from typing import Final

from genrestack_server.config import ServerConfig

# The transport takes this many times the limit, so that a request somewhat too large gets an answer that names the
# setting; anything larger is refused by gRPC itself, unread.
_ROOM: Final = 2
# What a stream may send ahead of being read. gRPC otherwise widens it by what the connection could carry, on a quick
# network tens of megabytes, and holds that much for every caller that sends and never reads.
_WINDOW_BYTES: Final = 2**20
# gRPC's own default refuses metadata between 8 and 16 KiB at random.
_METADATA_BYTES: Final = 16 * 1024
# A client that is gone without a word is noticed after these two together.
_KEEPALIVE_MS: Final = 60_000
_KEEPALIVE_TIMEOUT_MS: Final = 20_000
# A client that connects and then says nothing; gRPC's default is two minutes.
_HANDSHAKE_TIMEOUT_MS: Final = 20_000


def channel_options(config: ServerConfig, *, shares_port: bool = False) -> list[tuple[str, int]]:
    """Translate the limits into gRPC's channel arguments."""
    room = config.max_message_bytes * _ROOM
    options = [
        # On by default, with which a second server on a busy port takes half its connections without a word.
        ("grpc.so_reuseport", int(shares_port)),
        ("grpc.max_receive_message_length", room),
        ("grpc.max_send_message_length", room),
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
