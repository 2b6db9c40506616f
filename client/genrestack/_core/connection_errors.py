"""What gRPC's own words for a failed connection mean to a person."""

from ipaddress import ip_address
from typing import Final

import grpc

from genrestack._core.options import Peer

_UNRESOLVED: Final = ("dns resolution failed", "name resolution", "errors resolving", "address lookup failed")
_NOT_CONNECTED: Final = ("failed to connect", "all backends failing")
_TORN: Final = "rst_stream"
_UNHEALTHY: Final = "backend unhealthy"
_CUT: Final = (
    "socket closed", "connection reset", "broken pipe", "goaway", "stream removed", "connection refused", _TORN,
)  # fmt: skip
_NO_GREETING: Final = ("socket closed", "connection reset", "broken pipe", "fd shutdown", "endpoint closing")
_HANDSHAKE: Final = ("handshake failed", "verification check failed", "security handshaker")


def is_torn(code: grpc.StatusCode, text: str) -> bool:
    """Tell whether an INTERNAL is gRPC's own word for an answer that broke off.

    A proxy whose server dies in the middle of an answer can only tear it (RST_STREAM); on a connection without a proxy
    the same is UNAVAILABLE.
    """
    return code is grpc.StatusCode.INTERNAL and _TORN in text.lower()


def says_none_serves(text: str) -> bool:
    """Tell whether gRPC's balancing left out every server, and at least the last for what it says of its health."""
    return _UNHEALTHY in text.lower()


def explain_refusal(text: str, peer: Peer) -> str:
    """Say what an answer of HTTP means where one of gRPC was due."""
    if "http2 header with status" in text.lower():
        return (
            f"what answers at {peer.target} speaks HTTP and not gRPC ({text}); check the address, and whether a proxy "
            "(http_proxy, no_proxy) stands between"
        )
    return text


def explain_unavailable(text: str, peer: Peer) -> str:
    """Say what happened and what to do about it; the words of whoever did answer stand as they are."""
    lower = text.lower()
    target = peer.target
    if any(words in lower for words in _HANDSHAKE):
        return _handshake(lower, target)
    if "http/2" in lower or "http1" in lower:
        return f"what answers at {target} is no gRPC server; check the port (genrestack serve says which one it has)"
    if says_none_serves(text):
        return (
            f"none of {target} serves now: they load, stop, have no model, or do not answer; ask each by itself: "
            "genrestack health --server HOST:PORT"
        )
    if any(words in lower for words in _NOT_CONNECTED):
        return _not_connected(lower, peer)
    if any(words in lower for words in _UNRESOLVED):
        return f"the address {target} is not known here; give it as HOST:PORT, such as localhost:50051"
    if any(words in lower for words in _CUT):
        return f"the connection to {target} broke off; see whether it still runs: genrestack health --server {target}"
    return f"{target} is not available: {text}"


def _not_connected(lower: str, peer: Peer) -> str:
    target = peer.target
    if any(words in lower for words in _NO_GREETING):
        # It was there and hung up before a word was said.
        if peer.encrypted:
            return (
                f"{target} broke off the TLS handshake: it most likely wants a certificate of yours that it trusts; "
                "name it: --cert and --key (tls=TLS(cert=..., key=...))"
            )
        return (
            f"{target} takes connections and ends them at once: the server most likely speaks TLS; "
            "add --tls (tls=True), and --ca FILE (tls=TLS(ca=FILE)) if its certificates are your own"
        )
    hint = "" if ":" in target else f"the address has no port, try {target}:50051, or "
    # Of a name with several addresses, gRPC tells what the last one did: nothing answers at ::1, say.
    tls = "" if peer.encrypted or _is_number(target) else "; if one runs there with TLS, add --tls (tls=True)"
    return f"nothing answers at {target}; {hint}start one: genrestack serve models{tls}"


def _is_number(target: str) -> bool:
    host = target.rpartition(":")[0] or target
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _handshake(lower: str, target: str) -> str:
    if "wrong_version_number" in lower:
        return f"{target} speaks no TLS; ask it without: leave out --tls (tls=False)"
    if "expired" in lower:
        return f"the certificate of {target} has expired; whoever runs the server has to renew it"
    if "not yet valid" in lower:
        return f"the certificate of {target} is not valid yet; check the clocks here and there"
    if "hostname" in lower:
        return (
            f"the certificate of {target} is for another name; ask by that name, or give it: "
            "--server-name NAME (tls=TLS(server_name=NAME))"
        )
    if "certificate_verify_failed" in lower:
        return (
            f"the certificate of {target} comes from nobody who is trusted here; name the authority it comes from: "
            "--ca FILE (tls=TLS(ca=FILE))"
        )
    return f"the TLS handshake with {target} failed; see the server's log for the reason"
