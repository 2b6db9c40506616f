"""Every query of the dashboard and of the alerts, asked of a real Prometheus that reads a real server under load."""

import json
import math
import re
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import yaml
from conftest import ROOT
from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from server.running.supervised import Supervised, supervised
from support.network.prometheus import DEPLOY, get, prometheus_of, values
from support.waiting import until

from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest

GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "genrestack.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ALERTS = {
    rule["alert"]: rule["expr"]
    for group in yaml.safe_load((DEPLOY / "rules.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
GRID = 24


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    """Two workers that answer all the time, many rows for the drift to be told of, and fail some."""
    models, stack = tmp_path_factory.mktemp("models"), TinyStack.draw()
    write_tiny(models, "tiny", stack, training=draw_rows(500))
    write_tiny(models, "slow", stack, slow=600)
    done = threading.Event()
    with supervised(models) as running:
        callers = [threading.Thread(target=call, args=(running, done)) for call in (keep_asking, keep_failing)]
        for caller in callers:
            caller.start()
        yield running
        done.set()
        for caller in callers:
            caller.join()


@pytest.fixture(scope="module")
def prometheus(server: Supervised, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus_of(server.metrics_url, tmp_path_factory.mktemp("prometheus")) as url:
        yield url


def keep_asking(server: Supervised, done: threading.Event) -> None:
    stub = server.stub()
    while not done.wait(0.05):
        stub.Predict(PredictRequest(model="tiny", rows=to_matrix(draw_rows(300))), timeout=30)


def keep_failing(server: Supervised, done: threading.Event) -> None:
    """Ask for more than can be computed in the time."""
    stub = server.stub()
    while not done.wait(0.5):
        with pytest.raises(grpc.RpcError):
            stub.Predict(PredictRequest(model="slow", rows=to_matrix(draw_rows(20_000))), timeout=0.2)


def filled(expression: str) -> str:
    """Put in what Grafana does when everything is chosen."""
    return expression.replace("$__rate_interval", "20s").replace("$instance", ".*").replace("$model", ".*")


def watched(expression: str) -> str:
    """Turn an alert's condition into what it watches: no thresholds, and what must be missing is there."""
    bare = re.sub(r" (?:>|<|==) [\d.]+", "", expression)
    return re.sub(r"\babsent\(", "(", bare).replace(" unless ", " and ")


def wait_for_data(url: str, expression: str) -> None:
    """Wait until every series that an expression gives is a number, and there is one."""

    def there() -> bool:
        found = values(url, expression)
        return bool(found) and all(map(math.isfinite, found))

    until(there, f"no data: {expression}")


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_every_panel_has_data(panel: dict[str, Any], prometheus: str) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        expression = filled(target["expr"])
        assert "$" not in expression
        wait_for_data(prometheus, expression)


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_every_alert_watches_something(alert: str, prometheus: str) -> None:
    wait_for_data(prometheus, watched(ALERTS[alert]))


@pytest.mark.parametrize("variable", DASHBOARD["templating"]["list"], ids=lambda variable: variable["name"])
def test_every_variable_has_choices(variable: dict[str, Any], prometheus: str) -> None:
    asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
    assert asked
    path, series = f"label/{asked[2]}/values", {"match[]": asked[1]}
    until(lambda: get(prometheus, path, **series), f"no choice of {asked[2]}")


def test_panels_lie_beside_each_other() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert x < GRID, panel["title"]
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_everything_asks_the_provisioned_source() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"]
    wanted = {"type": source["type"], "uid": source["uid"]}
    assert found_sources(DASHBOARD) == [wanted] * len(found_sources(DASHBOARD))


def found_sources(part: Any) -> list[Any]:
    if isinstance(part, list):
        return [source for each in part for source in found_sources(each)]
    if not isinstance(part, dict):
        return []
    return [source for key, each in part.items() for source in ([each] if key == "datasource" else found_sources(each))]
