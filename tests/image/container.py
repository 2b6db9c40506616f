"""A container as a careful person runs it: nothing to write to, no capabilities, no network but its own loopback."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from image.engine import Engine, Failed, parsed

HARDENED: Final = (
    "--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none",
)  # fmt: skip
# Less than anybody has: podman would raise them, which root in a virtual machine or a container may not.
LIMITS: Final = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
_WAIT_S: Final = 120
_ASKING: Final = Path(__file__).with_name("asking.py")


@dataclass(frozen=True)
class Container:
    """A container that was made, and may run."""

    engine: Engine
    name: str
    log: Path

    def start(self) -> None:
        """Start it."""
        self.engine.podman("start", self.name)

    def start_serving(self) -> float:
        """Start it and wait until it says that it serves; give the seconds that took."""
        began = time.monotonic()
        self.start()
        while time.monotonic() - began < _WAIT_S:
            if "serving " in self.said():
                return time.monotonic() - began
            if not self.state()["Running"]:
                break
            time.sleep(0.02)
        raise Failed(f"the server does not start:\n{self.said()}")

    def said(self) -> str:
        """Return what it wrote so far."""
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def state(self) -> Any:
        """Return what podman knows of its process."""
        return parsed(self.engine.podman("inspect", self.name))["State"]

    def pid(self) -> int:
        """Return the number of its first process, as this machine counts."""
        return int(self.state()["Pid"])

    def status(self) -> int:
        """Wait for its end; give the exit status."""
        deadline = time.monotonic() + _WAIT_S
        while self.state()["Running"]:
            if time.monotonic() > deadline:
                raise Failed(f"the container does not end:\n{self.said()}")
            time.sleep(0.1)
        return int(self.state()["ExitCode"])

    def stop(self) -> int:
        """Send the image's stop signal, wait up to a minute; give the exit status."""
        self.engine.podman("stop", "--time", "60", self.name)
        return self.status()

    def ask(self, *arguments: str | Path) -> "subprocess.Popen[str]":
        """Start a client of this machine's on the container's loopback."""
        enter = ["nsenter", f"--net=/proc/{self.pid()}/ns/net"]
        return subprocess.Popen(
            [*enter, sys.executable, _ASKING, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


@contextmanager
def container(engine: Engine, image: str, models: Path | None, *command: str) -> Iterator[Container]:
    """Make a container, with a repository of models mounted read-only; nothing of it is left afterwards."""
    log = engine.folder / f"log-{time.monotonic_ns()}"
    options = [*HARDENED, *LIMITS, "--cgroup-parent", f"/{engine.folder.name}", "--log-opt", f"path={log}"]
    if models:
        options += ["--volume", f"{models}:/models:ro"]
    made = Container(engine, engine.podman("create", *options, image, *command), log)
    try:
        yield made
    finally:
        engine.podman("rm", "--force", "--time", "0", made.name, check=False)


def answer(asking: "subprocess.Popen[str]") -> str:
    """Wait for a client's end; give what it said."""
    said, complaint = asking.communicate()
    if asking.returncode:
        raise Failed(f"the client failed:\n{said}{complaint}")
    return said
