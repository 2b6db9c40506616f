"""A real Prometheus server that reads one of ours."""

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.tools import need
from support.waiting import until

DEPLOY = Path(__file__).parents[3] / "deploy" / "prometheus"


@contextmanager
def prometheus_of(metrics_url: str, folder: Path) -> Iterator[str]:
    """Return its URL; its settings are those of `deploy/`, with this target and short intervals."""
    need(shutil.which("prometheus"), "prometheus (Debian package prometheus)")
    target = metrics_url.removeprefix("http://").removesuffix("/metrics")
    settings = (DEPLOY / "prometheus.yml").read_text().replace("localhost:9464", target).replace("15s", "1s")
    (folder / "prometheus.yml").write_text(settings)
    shutil.copy(DEPLOY / "rules.yml", folder)
    log = folder / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
             "--web.listen-address=127.0.0.1:0"],
            cwd=folder, stderr=stderr, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        until(lambda: _address(log), "Prometheus does not start")
        until(lambda: _ready(_address(log)), "Prometheus is not ready")
        yield _address(log)
    finally:
        process.kill()
        process.wait()


def get(url: str, path: str, **parameters: str) -> Any:
    """Ask its API."""
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=20) as answer:
        return json.load(answer)["data"]


def values(url: str, expression: str) -> list[float]:
    """Return the values of every series that an expression has now."""
    return [float(series["value"][1]) for series in get(url, "query", query=expression)["result"]]


def query(url: str, expression: str) -> float | None:
    """Return the first of them, if there is one."""
    return next(iter(values(url, expression)), None)


def _address(log: Path) -> str:
    """Where it listens, by its log."""
    for line in log.read_text().splitlines():
        if 'msg="Listening on"' in line:
            return "http://" + line.split("address=")[1].split()[0]
    return ""


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer:
            return int(answer.status) == 200
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False
