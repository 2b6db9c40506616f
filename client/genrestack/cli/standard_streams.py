"""Standard output and standard error that fail as those of other Unix commands do.

A reader of standard output that has seen enough (`| head -1`) ends the command quietly; a full disk, or an output that
was closed from the beginning, is one line and exit status 1. What cannot be said on standard error is not said.
"""

import io
import os
import signal
import sys
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PIPE_STATUS: Final = 128 + signal.SIGPIPE
"""What a shell reports of a command that SIGPIPE ended."""
_FILES: Final = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)


class OutputLost(Exception):
    """Standard output cannot be written any more.

    Not an OSError, lest it is taken for a failure of the file at hand. It is raised once: what is written afterwards,
    by the interpreter as it exits for example, goes nowhere.

    Attributes:
        status: exit status of the command.
        message: one line, or "" where nothing has to be printed.

    """

    def __init__(self, error: OSError) -> None:
        gone = isinstance(error, BrokenPipeError)
        self.status = PIPE_STATUS if gone else 1
        reason = error.strerror or type(error).__name__
        self.message = "" if gone else f"cannot write the output ({reason}); free some space, or send it elsewhere"
        super().__init__(reason)


def guard_streams() -> None:
    """Replace this process's standard output and standard error."""
    _open_closed_ones()
    sys.stdout = _text(_Output(1, "wb", closefd=False), sys.stdout)
    sys.stderr = _text(_Errors(2, "wb", closefd=False), sys.stderr, line_buffering=True)


class _Output(io.FileIO):
    _lost = False

    def write(self, data: "ReadableBuffer", /) -> int:
        if self._lost:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            self._lost = True
            raise OutputLost(error) from error


class _Errors(io.FileIO):
    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _open_closed_ones() -> None:
    """Open for a closed descriptor a file: else it becomes that of the next socket, and what is printed goes into it.

    Standard output gets one that cannot be written, so that it still fails.
    """
    for stream, flags in zip((sys.stdin, sys.stdout, sys.stderr), _FILES, strict=True):
        if stream is None:
            os.open(os.devnull, flags)


def _text(raw: io.FileIO, replaced: TextIO | None, *, line_buffering: bool = False) -> TextIO:
    """Make the text stream; letters that the encoding does not have become escapes."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(replaced, "encoding", "utf-8"),
        errors="backslashreplace",
        line_buffering=line_buffering or bool(getattr(replaced, "line_buffering", False)),
        write_through=bool(getattr(replaced, "write_through", False)),
    )
