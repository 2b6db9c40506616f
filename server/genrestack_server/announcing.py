"""The lines a person reads when the server serves."""

from typing import TYPE_CHECKING

from genrestack_common.text import counted

if TYPE_CHECKING:
    from genrestack_server.server import Server


def announcement(server: "Server") -> list[str]:
    """Say what is served, where, and by what."""
    workers = server.config.workers if server.shares_port else 1
    each = f" in each of {workers} workers" if workers > 1 else ""
    lines = [
        f"serving {served.title} on {server.address} — {served.session.provider}, "
        f"{counted(served.session.threads, 'thread')}{each}"
        for served in server.models
    ]
    lines = lines or [f"serving nothing yet on {server.address}"]
    url = server.observation.metrics_url
    return lines if url is None else [*lines, f"metrics on {url}"]
