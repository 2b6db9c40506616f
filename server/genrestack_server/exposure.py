"""What of a port lies open to other machines; light, so that a supervisor of workers can say it once for all."""

from genrestack_server.config import ServerConfig
from genrestack_server.listening import is_loopback


def exposures(config: ServerConfig) -> list[str]:
    """Say what lies open to whoever reaches the port, and which setting closes it; nothing on loopback."""
    if is_loopback(config.host):
        return []
    lines = []
    where = f"{config.host} is reachable from other machines"
    if config.tls_cert is None:
        what = "requests, answers and tokens" if config.token_file is not None else "requests and answers"
        lines.append(f"{where}, and {what} travel unencrypted; set --tls-cert and --tls-key")
    if config.token_file is None and config.tls_client_ca is None:
        lines.append(f"{where}, and everybody there may ask; set --token-file or --tls-client-ca")
        if config.management == "open":
            lines.append(f"{where}, and everybody there may load and unload models; set --token-file")
    return lines
