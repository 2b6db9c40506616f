"""The page's server in a process of its own, in front of a real server of a model of songs."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
SENT_BY_PAGE = {"X-GenreStack-Page": "1"}


@dataclass(frozen=True)
class Page:
    """A page that is served."""

    process: "subprocess.Popen[str]"
    port: int
    folder: Path
    """Where its uploads lie while they are read."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @contextmanager
    def asked(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Iterator[HTTPResponse]:
        """Send one request, over a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            connection.request(method, path, body, headers or {})  # type: ignore[arg-type] # bytes, files, and chunks
            yield connection.getresponse()
        finally:
            connection.close()

    def uploads(self) -> list[Path]:
        return sorted(self.folder.glob("genrestack-web-*"))


@contextmanager
def served_page(server: str | Path, folder: Path, *options: str) -> Iterator[Page]:
    """Run `genrestack web` on a free port, in front of a server or of a folder of models."""
    asked = "--models" if isinstance(server, Path) else "--server"
    process = subprocess.Popen(
        [BIN / "genrestack", "web", asked, server, "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=surroundings(folder),
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert found, process.stderr.read()
        yield Page(process, int(found[1]), folder)
    finally:
        process.kill()
        process.communicate()


def surroundings(folder: Path) -> dict[str, str]:
    import os

    return {**os.environ, "TMPDIR": str(folder)}


@pytest.fixture(scope="module")
def page(song_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("page")
    with served_page(song_server, folder, "--model", "songs", "--max-upload-mib", "8") as page:
        yield page
