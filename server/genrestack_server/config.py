"""Options of a server."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Provider = Literal["auto", "cpu", "cuda"]

MIB = 2**20

_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "port": (0, 65_535),
    "threads": (1, 1024),
    # gRPC counts bytes in 32 bits, and is told twice this.
    "max_message_mib": (1, 1000),
    "max_rows": (1, 2**32 - 1),
    "grace": (0, math.inf),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Everything a `Server` can be told; the command's options have the same names."""

    models_dir: Path = Path("models")
    """Model repository, `<name>/<version>/`."""
    host: str = "127.0.0.1"
    """Name or address to listen on; IPv6 addresses without brackets."""
    port: int = 50051
    """TCP port; 0 picks a free one."""
    provider: Provider = "auto"
    """Execution provider; `auto` is CUDA where it is there, else CPU."""
    threads: int | None = None
    """Intra-op threads of a run; None: as many as this process may use."""
    default_model: str | None = None
    """Model that answers when a request names none; None: the only one there is."""
    max_message_mib: int = 64
    """Largest request and largest answer, in MiB."""
    max_rows: int = 65_536
    """Largest number of rows in one request."""
    grace: float = 30.0
    """Seconds that requests in flight get to finish when the server stops."""
    allow_empty: bool = False
    """Start even if there is nothing, or not everything, to serve."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: naming the option and what it may be.

        """
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise ValueError(f"{name} is {value}; it must lie between {least} and {most}")

    @property
    def max_message_bytes(self) -> int:
        """Largest request and largest answer, in bytes."""
        return self.max_message_mib * MIB
