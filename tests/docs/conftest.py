"""The site, made once."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT

DOCS = ROOT / "docs"


@dataclass(frozen=True)
class Site:
    """Where the site lies, and what its making said."""

    folder: Path
    status: int
    said: str

    def pages(self) -> list[Path]:
        """Every page that the site has, the committed example reports apart."""
        reports = self.folder / "examples"
        return sorted(page for page in self.folder.rglob("*.html") if not page.is_relative_to(reports))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    options = ["-W", "--keep-going", "-q", "-b", "html", "-d", str(folder / "doctrees")]
    argv = [sys.executable, "-m", "sphinx", *options, str(DOCS), str(folder / "html")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return Site(folder / "html", done.returncode, done.stdout + done.stderr)
