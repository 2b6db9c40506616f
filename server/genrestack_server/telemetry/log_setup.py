"""Log lines of the command: readable or JSON, and never in the way; as a library, the server only logs."""

import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from genrestack_server.config.server_config import LogFormat

LOGGER: Final = "genrestack_server"
# Lines that may wait for a reader; a reader that stops costs lines, not requests.
_WAITING: Final = 10_000
_FLUSH_S: Final = 2.0


def configure(level: str, form: LogFormat = "text", stream: TextIO | None = None) -> "LogWriter":
    """Write what is logged to standard error, or to another stream."""
    # gRPC's C++ code would write a line for each header it cannot read. It looks at this when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    writer = LogWriter(stream or sys.stderr)
    writer.setFormatter(Json() if form == "json" else ReadableFormatter())
    logger = logging.getLogger(LOGGER)
    logger.addHandler(writer)
    logger.setLevel(level.upper())
    logging.getLogger().addHandler(writer)
    logger.propagate = False
    return writer


def warn(lines: Iterable[str]) -> None:
    """Log each as a warning."""
    for line in lines:
        logging.getLogger(__name__).warning("%s", line)


def flush() -> None:
    """Wait, for a moment, until what was logged is written."""
    for handler in logging.getLogger(LOGGER).handlers:
        handler.flush()


class LogWriter(logging.Handler):
    """Writes lines in a thread of its own, so that a full disk or a stopped reader never holds up a request."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.lost = 0
        """Lines that could not be written, or found no room to wait."""
        self._stream = stream
        self._lines: queue.Queue[str] = queue.Queue(_WAITING)
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line over."""
        try:
            line = self.format(record)
        except (TypeError, ValueError, KeyError):
            # A mistake in a log call must not become one of the request's.
            line = f"{record.levelname} {record.name}: a line that could not be made: {record.msg!r}"
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.lost += 1

    def flush(self) -> None:
        """Wait, for a moment, until all lines are written."""
        done = self._lines.all_tasks_done
        with done:
            done.wait_for(lambda: not self._lines.unfinished_tasks, _FLUSH_S)

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                # A full disk, a reader that left, a closed stream: there is nowhere to report it.
                self.lost += 1
            self._lines.task_done()


class ReadableFormatter(logging.Formatter):
    """`2026-11-22 21:00:00 INFO    text`, in local time."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Append the fields as `name=value`."""
        text = super().format(record)
        fields = _fields(record)
        return " ".join([text, *(f"{name}={_quoted(value)}" for name, value in fields.items())]) if fields else text


class Json(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, process, message, the line's fields, the exception if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Make the line."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return what was given as `extra={"fields": …}`."""
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


def _quoted(value: object) -> str:
    """Callers choose some of the values: nothing in them may look like another field or line."""
    text = str(value)
    plain = text.isascii() and text.isprintable() and not set(text) & set(' ="\\')
    return text if plain and text else json.dumps(text)
