"""What `deploy/k8s` and `deploy/kserve` say is valid, fits together, and fits the server."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from deploy.kustomize import K8S, Object, build, in_order, load, named
from deploy.schemas import CUSTOM

KSERVE = K8S.parent / "kserve"
FOLDERS = ("base", "overlays/example")
# The oldest that has all the fields that are used, and the newest there is a schema of.
VERSIONS = ("1.30", kubernetes_validate.latest_version())
SERVER = {"app.kubernetes.io/name": "genrestack", "app.kubernetes.io/component": "server"}


def everything() -> Iterator[tuple[str, Object]]:
    for folder in FOLDERS:
        for each in build(K8S / folder):
            yield f"{folder}/{each['kind']}/{each['metadata']['name']}", each
    for path in sorted(KSERVE.glob("*.yaml")):
        for each in load(path):
            yield f"kserve/{each['kind']}/{each['metadata']['name']}", each


ALL = dict(everything())
CONTAINERS = {
    name: (each["spec"]["template"]["spec"] if each["kind"] == "Deployment" else each["spec"])["containers"][0]
    for name, each in ALL.items()
    if each["kind"] in {"Deployment", "ClusterServingRuntime"}
}


def validate_core(each: Object, version: str) -> None:
    """Raise where a kind of Kubernetes itself is wrong, or there is no schema of it."""
    kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [name for name, each in ALL.items() if each["kind"] not in CUSTOM])
def test_kinds_of_kubernetes_are_valid(name: str, version: str) -> None:
    validate_core(ALL[name], version)


@pytest.mark.parametrize("name", [name for name, each in ALL.items() if each["kind"] in CUSTOM])
def test_other_kinds_follow_the_schemas_written_down_here(name: str) -> None:
    jsonschema.Draft202012Validator(CUSTOM[ALL[name]["kind"]]).validate(ALL[name])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("runtime", ["genrestack", "genrestack-http"])
def test_the_container_of_kserve_is_valid_in_a_pod(runtime: str, version: str) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
    validate_core(pod | {"spec": {"containers": [CONTAINERS[f"kserve/ClusterServingRuntime/{runtime}"]]}}, version)


def _misspelt(deployment: Object) -> None:
    deployment["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["grpc"]["servce"] = "x"


def _mistyped(deployment: Object) -> None:
    deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = "soon"


@pytest.mark.parametrize("spoil", [_misspelt, _mistyped])
def test_what_is_wrong_is_found(spoil: Callable[[Object], None]) -> None:
    spoilt = deepcopy(named(build(K8S / "base"), "Deployment"))
    spoil(spoilt)
    with pytest.raises(kubernetes_validate.ValidationError):
        validate_core(spoilt, VERSIONS[0])


def test_a_kind_without_a_schema_is_a_failure() -> None:
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        validate_core(ALL["overlays/example/ServiceMonitor/genrestack"], VERSIONS[-1])


@pytest.mark.parametrize("folder", FOLDERS)
def test_kustomize_builds_the_same(folder: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl; the other tests read the kustomizations themselves")
    done = subprocess.run(
        ["kubectl", "kustomize", str(K8S / folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert in_order(list(yaml.safe_load_all(done.stdout))) == in_order(build(K8S / folder))


def environment(container: Object) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"]}


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_server_takes_every_variable_and_argument(name: str) -> None:
    """As the server itself reads them; each setting is shown with where it came from."""
    container = CONTAINERS[name]
    given = environment(container)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GENRESTACK_")}
    done = subprocess.run(
        [str(Path(sys.executable).parent / "genrestack"), *container["args"], "--print-config"],
        env=kept | given, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # A variable that sets nothing is warned of.
    assert not done.stderr, done.stderr
    assert set(re.findall(r"# variable (\w+)$", done.stdout, re.MULTILINE)) == set(given), done.stdout
    assert f'models_dir = "{container["args"][1]}"' in done.stdout


@pytest.mark.parametrize("name", CONTAINERS)
def test_ports_are_those_that_the_server_is_told(name: str) -> None:
    container, given = CONTAINERS[name], environment(CONTAINERS[name])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    # KServe's containers have one port.
    if "http1" not in ports:
        assert str(ports.get("grpc", ports.get("h2c"))) == given["GENRESTACK_SERVE_PORT"]
    assert str(ports.get("metrics", 9464)) == given["GENRESTACK_SERVE_METRICS_PORT"]
    assert str(ports.get("http", ports.get("http1", ""))) == given.get("GENRESTACK_SERVE_HTTP_PORT", "")
    for probe in probes(container).values():
        asked = (probe.get("grpc") or probe.get("httpGet") or {}).get("port", "grpc")
        assert asked in {*ports, *ports.values()}


def probes(container: Object) -> dict[str, Object]:
    return {key.removesuffix("Probe"): value for key, value in container.items() if key.endswith("Probe")}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_pod_is_given_the_time_that_its_drain_may_take(folder: str) -> None:
    spec = named(build(K8S / folder), "Deployment")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = float(environment(container)["GENRESTACK_SERVE_GRACE"])
    assert spec["terminationGracePeriodSeconds"] >= before + grace + 5
    # Longer than a pod that is about to go is still asked by those that have looked it up.
    assert before > probes(container)["readiness"]["periodSeconds"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_belongs_together_finds_each_other(folder: str) -> None:
    objects = build(K8S / folder)
    deployment = named(objects, "Deployment")
    pod = deployment["spec"]["template"]
    ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    assert pod["metadata"]["labels"] == SERVER
    policies = [each for each in objects if each["kind"] == "NetworkPolicy"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        named(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        *(policy["spec"]["podSelector"]["matchLabels"] for policy in policies),
        *(spread["labelSelector"]["matchLabels"] for spread in pod["spec"]["topologySpreadConstraints"]),
    ]
    services = [each for each in objects if each["kind"] == "Service"]
    assert {port["targetPort"] for each in services for port in each["spec"]["ports"]} == ports
    assert all(selector == SERVER for selector in [*selectors, *(each["spec"]["selector"] for each in services)])
    rules = [rule for policy in policies for rule in policy["spec"]["ingress"]]
    assert {port["port"] for rule in rules for port in rule["ports"]} == ports
    reference = named(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (reference["kind"], reference["name"]) == ("Deployment", deployment["metadata"]["name"])
    claims = {v["persistentVolumeClaim"]["claimName"] for v in pod["spec"]["volumes"] if "persistentVolumeClaim" in v}
    assert claims == {named(objects, "PersistentVolumeClaim", "genrestack-models")["metadata"]["name"]}
    assert {m["name"] for m in pod["spec"]["containers"][0]["volumeMounts"]} == {
        v["name"] for v in pod["spec"]["volumes"]
    }


def test_prometheus_finds_the_service_of_the_metrics() -> None:
    objects = build(K8S / "overlays" / "example")
    monitor = named(objects, "ServiceMonitor")["spec"]
    wanted = monitor["selector"]["matchLabels"]
    found = [
        each for each in objects if each["kind"] == "Service" and wanted.items() <= each["metadata"]["labels"].items()
    ]
    assert [each["metadata"]["name"] for each in found] == ["genrestack-metrics"]
    assert [monitor["endpoints"][0]["port"]] == [port["name"] for port in found[0]["spec"]["ports"]]


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_are_closed(name: str) -> None:
    """What Kubernetes' restricted profile asks for, and a root that cannot be written."""
    own: dict[str, Any] = CONTAINERS[name]["securityContext"]
    if ALL[name]["kind"] == "Deployment":
        own = ALL[name]["spec"]["template"]["spec"]["securityContext"] | own
    assert own["runAsNonRoot"] is True
    assert own["runAsUser"] == 10001
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert own["seccompProfile"] == {"type": "RuntimeDefault"}
    resources = CONTAINERS[name]["resources"]
    assert set(resources["limits"]) == set(resources["requests"]) == {"cpu", "memory"}
    assert all(mount["readOnly"] for mount in CONTAINERS[name].get("volumeMounts", []))
