"""Log lines of the command; the library itself only ever logs, and configures nothing."""

import logging
import sys
from collections.abc import Iterable
from typing import Final

LEVELS: Final = ("debug", "info", "warning", "error")


def configure(level: str) -> None:
    """Write readable lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logger = logging.getLogger("genrestack_server")
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logging.getLogger().addHandler(handler)
    logger.propagate = False


def warn(lines: Iterable[str]) -> None:
    """Log each as a warning."""
    for line in lines:
        logging.getLogger(__name__).warning("%s", line)
