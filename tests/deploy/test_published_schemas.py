"""The kinds that are not part of Kubernetes, against what their own projects publish; fetched from the registries."""

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from deploy.kustomize import K8S, Object, build, load, named
from support.tools import need

KSERVE = K8S.parent / "kserve"
OPERATOR = "@kubernetes-models/prometheus-operator@6.0.0"
VALIDATE = """
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
import { readFileSync } from "node:fs";
try { new ServiceMonitor(JSON.parse(readFileSync(0, "utf8"))).validate(); }
catch (error) { console.log(error.message); process.exit(1); }
"""
# KServe's generated models, without the server that comes in the same package: each names its fields and their types.
# A field that no model has, or of another type, is the fault that is looked for.
WALK = """
import importlib.util, json, sys, types
package = types.ModuleType("kserve")
package.__path__ = list(importlib.util.find_spec("kserve").submodule_search_locations)
sys.modules["kserve"] = package
import kserve.models, kubernetes.client.models

def named(kind):
    return getattr(kserve.models, kind, None) or getattr(kubernetes.client.models, kind, None)

def walk(value, kind, where):
    if kind.lower().startswith("list["):
        assert isinstance(value, list), f"{where} is not a list"
        for number, each in enumerate(value):
            walk(each, kind[5:-1], f"{where}[{number}]")
    elif kind.lower().startswith(("dict(", "dict[")):
        for key, each in value.items():
            walk(each, kind[5:-1].partition(", ")[2], f"{where}.{key}")
    elif kind in ("str", "int", "bool", "float"):
        assert type(value).__name__ == kind, f"{where} is {value!r}, and is to be of type {kind}"
    elif kind != "object":
        model = named(kind)
        assert model is not None, f"{where}: {kind} is not known"
        fields = {wire: python for python, wire in model.attribute_map.items()}
        for key, each in value.items():
            assert key in fields, f"{where} has no field {key}"
            walk(each, model.openapi_types[fields[key]], f"{where}.{key}")

value, kind = json.load(sys.stdin)
try:
    walk(value, kind, kind)
except AssertionError as fault:
    sys.exit(str(fault))
"""


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need(shutil.which("npm") and shutil.which("node"), "npm and node")
    folder = tmp_path_factory.mktemp("operator")
    fetched = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", OPERATOR],
        cwd=folder, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert fetched.returncode == 0, fetched.stderr
    (folder / "validate.mjs").write_text(VALIDATE)
    return folder


@pytest.mark.long
def test_the_service_monitor_follows_the_published_schema(operator: Path) -> None:
    monitor = named(build(K8S / "overlays" / "example"), "ServiceMonitor")
    assert faults_of_monitor(operator, monitor) == ""
    monitor["spec"]["endpoints"][0]["interval"] = "now and then"
    assert "interval must match pattern" in faults_of_monitor(operator, monitor)


def faults_of_monitor(folder: Path, monitor: Object) -> str:
    done = subprocess.run(
        ["node", "validate.mjs"], cwd=folder, input=json.dumps(monitor), check=False, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has KServe's models."""
    folder = tmp_path_factory.mktemp("kserve")
    venv.create(folder, with_pip=False)
    for packages in (["--no-deps", "kserve==0.21.0"], ["kubernetes==37.0.2", "six"]):
        fetched = subprocess.run(
            [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet", *packages],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert fetched.returncode == 0, fetched.stderr
    return folder / "bin" / "python"


@pytest.mark.long
@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("clusterservingruntime.yaml", "V1alpha1ClusterServingRuntime"),
        ("clusterservingruntime-http.yaml", "V1alpha1ClusterServingRuntime"),
        ("inferenceservice.yaml", "V1beta1InferenceService"),
    ],
)
def test_kinds_of_kserve_follow_its_models(models: Path, file: str, kind: str) -> None:
    (found,) = load(KSERVE / file)
    assert faults_of_kserve(models, found, kind) == ""
    found["spec"]["supportedModelFormat"] = []
    assert "has no field supportedModelFormat" in faults_of_kserve(models, found, kind)


def faults_of_kserve(python: Path, value: Object, kind: str) -> str:
    done = subprocess.run(
        [python, "-c", WALK],
        input=json.dumps([value, kind]),
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stderr.strip()
