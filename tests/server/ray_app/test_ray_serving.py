"""Behind Ray Serve on two nodes: the same answers, the same refusals, and nobody notices the loss of a replica."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from server.bundles.tiny import FEATURES
from support.network import namespaces
from support.tools import need

TESTS = Path(__file__).parents[2]
SAME = 1e-6
PATIENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Serve ends a proxy that is not ready in five seconds, again and again on a machine with more to do.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "600",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "600",
}


def seen_of(part: str, folder: Path) -> dict[str, Any]:
    """Run a part of `support.clusters.serving` and return what it saw."""
    command = namespaces.alone()
    # No package that could be installed: a machine has them or has not.
    need(command, namespaces.WHAT, required=False)
    done = subprocess.run(
        [*command, sys.executable, "-W", "ignore", "-m", "support.clusters.serving", part, str(folder)],
        cwd=TESTS,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **PATIENT},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    seen: dict[str, Any] = json.loads((folder / "seen.json").read_text(encoding="utf-8"))
    return seen


@pytest.mark.timeout(3600)
def test_two_nodes_and_the_loss_of_a_replica(tmp_path: Path) -> None:
    seen = seen_of("smoke", tmp_path)
    assert seen["file"] == ["genrestack_server.ray_app:app", True]
    assert seen["difference"] < SAME
    assert seen["models"] == [["tiny", 1, "ready"]]
    assert seen["features"] == list(FEATURES)
    assert seen["health"] == ["SERVING", "SERVING", "SERVING", "UNKNOWN"]
    assert seen["stream difference"] < SAME
    assert seen["stream outcomes"] == ["Prediction", "InvalidInput", "Prediction"]
    assert seen["refusals differ"] == {}
    assert {name: code for name, (code, _, _) in seen["refusals"].items()} == {
        "columns": "INVALID_ARGUMENT",
        "NaN": "INVALID_ARGUMENT",
        "none": "INVALID_ARGUMENT",
        "rows": "INVALID_ARGUMENT",
        "model": "NOT_FOUND",
        "version": "NOT_FOUND",
        "priority": "INVALID_ARGUMENT",
        "bytes": "INVALID_ARGUMENT",
    }
    assert seen["by HTTP differs"] == {}
    assert {name: status for name, (status, _) in seen["by HTTP"].items()} == {
        **dict.fromkeys(("json", "bytes", "metadata", "ready", "index"), 200),
        **dict.fromkeys(("columns", "output", "deadline", "NaN"), 400),
        **dict.fromkeys(("model", "version", "path"), 404),
        "method": 405,
    }
    assert seen["closed by HTTP"][0] == 403
    assert "replicas on Ray Serve take none" in seen["closed by HTTP"][1]
    assert seen["difference through the loss of a replica"] < SAME


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_what_may_be_lost(tmp_path: Path) -> None:
    seen = seen_of("losses", tmp_path)
    assert seen["difference through the loss of a replica"] < SAME
    kind, text = seen["lost with its replica"]
    assert kind == "Unavailable"
    assert text.endswith("is not available: the replica that had this request was lost; try again")
    assert seen["difference after the loss of all"] < SAME
    assert seen["difference through the loss of a node"] < SAME
    assert seen["nodes left"] == 1


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_models_take_turns_in_a_replica(tmp_path: Path) -> None:
    seen = seen_of("multiplexed", tmp_path)
    assert max(seen["differences"]) < SAME
    assert seen["by default"] == "tiny"
    assert seen["by metadata"] == "third"
    assert sorted(seen["states"].items()) == [("second", "unspecified"), ("third", "ready"), ("tiny", "ready")]
    assert seen["described"] == ["second", "third", "tiny"]
    assert seen["health"] == ["SERVING", "SERVING", "UNKNOWN"]
    assert seen["unknown"] == ["NotFound", "there is no model 'gone' here; there are: second, third, tiny"]
    assert seen["refused"][0] == "FailedPrecondition"
    assert "does not answer its golden rows" in seen["refused"][1]
    assert seen["refused again"] == seen["refused"]
    assert max(seen[f"by HTTP, {model}"] for model in ("tiny", "second", "third")) < SAME
    assert seen["by HTTP, gone"] == [404, "there is no model 'gone' here; there are: bad, second, third, tiny"]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_replicas_follow_the_load(tmp_path: Path) -> None:
    seen = seen_of("scaled", tmp_path)
    assert seen["replicas at first"] == 1
    assert seen["difference"] < SAME


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_documented_command(tmp_path: Path) -> None:
    seen = seen_of("command", tmp_path)
    assert seen["difference"] < SAME
    assert seen["status"] == 0
