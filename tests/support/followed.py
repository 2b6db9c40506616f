"""Pages and examples, followed word for word: their commands, and a shell to run them in.

A block marked `console` is run: its lines that begin with `$ ` are commands, the others what they print.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

# What is started in the background ends with the shell, however that ends.
_BEGIN = "trap 'set +e; kill $(jobs -p) 2> /dev/null; wait' EXIT\n"
_PORT = re.compile(r"(localhost:|127\.0\.0\.1:|--port )(\d+)")


def blocks(page: Path, kind: str) -> list[str]:
    """Return the text of a page's blocks of this kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """Return the commands of a page, in order."""
    return [line[2:] for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]


def scripts(page: Path) -> dict[str, str]:
    """Return the page's Python files by name: blocks that begin with `# NAME.py`."""
    named = (re.match(r"# (\w+\.py)\n", block) for block in blocks(page, "python"))
    return {found[1]: found.string for found in named if found}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _moved(text: str, ports: dict[str, str]) -> str:
    for _, named in _PORT.findall(text):
        ports.setdefault(named, str(free_port()))
    return _PORT.sub(lambda found: found[1] + ports[found[2]], text)


def follow(lines: list[str], folder: Path, files: dict[str, str] | None = None) -> tuple[str, str]:
    """Run commands in one shell, which stops at the first that fails; give what they printed, and what they warned of.

    Ports that commands and files name are replaced by free ones, so that nothing else on the machine is met.
    """
    ports = {"50051": str(free_port())}
    for name, text in (files or {}).items():
        (folder / name).write_text(_moved(text, ports), encoding="utf-8")
    script = _moved(_BEGIN + "\n".join(lines), ports)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    here = {"PATH": path, "GENRESTACK_SERVE_PORT": ports["50051"], "GENRESTACK_SERVER": f"localhost:{ports['50051']}"}
    shell = subprocess.Popen(
        ["bash", "-e", "-c", script], cwd=folder, env={**os.environ, **here}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        said, complained = shell.communicate()
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, f"{said}\n{complained}"
    return said, complained
