"""Run the command with outputs that cannot be written: reads a list of cases from standard input, tells what came.

A program of its own, so that each case is a fork of a process that has the command loaded and no thread yet.
"""

import json
import os
import sys
import tempfile
from typing import Any

import rich.console
import rich.table

from genrestack.cli.main import main

# Loaded here, so that not every case takes the time for it.
LOADED = rich.console, rich.table


def arrange(way: str, out: Any, err: Any) -> None:
    """Make standard output and standard error what the case says."""
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    if way == "reader gone":
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, 1)
    elif way == "disk full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    elif way == "output closed":
        os.close(1)
        sys.stdout = None  # as the interpreter starts then
    elif way == "errors closed":
        os.close(2)
        sys.stderr = None  # likewise
    elif way == "errors full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), 2)


def run(arguments: list[str], way: str) -> dict[str, Any]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            arrange(way, out, err)
            main(arguments)
        _, status = os.waitpid(child, 0)
        told = []
        for file in (out, err):
            file.seek(0)
            told.append(file.read().decode(errors="replace"))
        return {"status": os.waitstatus_to_exitcode(status), "out": told[0], "err": told[1]}


if __name__ == "__main__":
    cases = json.load(sys.stdin)
    # A child leaves through the interpreter's own end, as a command does: nothing may wait in a buffer then.
    print(json.dumps([run(arguments, way) for arguments, way in cases]))
