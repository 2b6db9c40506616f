"""A message that is written even where the process ends without a chance to write it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Whatever ends a process closes its end of the pipe.
_CHILD: Final = "import sys\nif not sys.stdin.read(): sys.stderr.write(sys.argv[1] + '\\n')"


@contextmanager
def last_words(message: str) -> Iterator[None]:
    """Have `message` written to stderr if this process ends inside the block, by whatever: `os._exit`, a signal."""
    # A session of its own: Ctrl-C is for this process, which leaves the block.
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _CHILD, message],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        child.communicate(b"left")
