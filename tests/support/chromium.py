"""Pages in a real browser without a window."""

import shutil
import subprocess
from html import escape
from pathlib import Path

from support.tools import need

# Loads the page in a frame of the width asked for, and says what it finds there.
_FRAME = """<!DOCTYPE html><meta charset="utf-8"><title>probe</title>
<iframe id="frame" style="width: {width}px; height: 800px; border: 0" srcdoc="{page}"></iframe><pre id="found"></pre>
<script>
addEventListener("load", () => {{
  const page = document.getElementById("frame").contentDocument, root = page.documentElement;
  const drawings = [...page.querySelectorAll("main svg")].filter(svg => !svg.closest("details:not([open])"));
  document.getElementById("found").textContent = [
    root.scrollWidth, root.clientWidth, drawings.length,
    drawings.filter(svg => svg.getBBox().width > 50 && svg.getBBox().height > 20).length,
  ].join(" ");
}});
</script>"""

_LOGGED = ("--enable-logging=stderr", "--log-level=0")


def find_chromium() -> str:
    """Return the browser's command, or skip the test."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    need(found, "chromium (Debian package chromium)")
    return found or ""


def open_page(file: Path, *options: str) -> tuple[str, list[str]]:
    """Load a page; give its DOM and the lines that went to the console."""
    command = [find_chromium(), "--headless", "--no-sandbox", "--disable-gpu", *_LOGGED, *options, "--dump-dom"]
    done = subprocess.run([*command, file.resolve().as_uri()], capture_output=True, text=True, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def probe(page: str, folder: Path, width: int) -> tuple[int, int, int, int]:
    """Lay a page out; give its width with what overflows, its width, its visible drawings, and those with a size."""
    frame = folder / f"probe-{width}.html"
    frame.write_text(_FRAME.format(width=width, page=escape(page)), encoding="utf-8")
    dom, _ = open_page(frame)
    numbers = dom.split('<pre id="found">')[1].split("<")[0].split()
    whole, seen, drawings, sized = map(int, numbers)
    return whole, seen, drawings, sized
