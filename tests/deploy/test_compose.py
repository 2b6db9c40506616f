"""deploy/compose.yaml, held against the published schema, and against what is really there."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from support.tools import need

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def read(path: str) -> Any:
    return yaml.safe_load((DEPLOY / path).read_text(encoding="utf-8"))


def held_against_the_schema(path: Path) -> "subprocess.CompletedProcess[str]":
    """Check a file against the schema that check-jsonschema brings along."""
    program = Path(sys.executable).with_name("check-jsonschema")
    command = [str(program), "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def mounts(service: str) -> dict[str, str]:
    """Return what is mounted, by its place in the container."""
    volumes = [re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", volume) for volume in SERVICES[service]["volumes"]]
    return {volume.split(":")[1]: volume.split(":")[0] for volume in volumes}


def test_the_schema_of_compose_files() -> None:
    done = held_against_the_schema(DEPLOY / "compose.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_refuses_what_is_no_compose_file(tmp_path: Path) -> None:
    """The check can fail: a key that nobody knows."""
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(json.dumps({"services": {"server": {"image": "x", "read_olny": True}}}), encoding="utf-8")
    assert held_against_the_schema(wrong).returncode == 1


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_nothing_more_than_needed(service: str) -> None:
    """Published on loopback alone, no capabilities, a version that is not `latest`, restarted when it ends."""
    found = SERVICES[service]
    assert all(port.startswith("127.0.0.1:") for port in found["ports"])
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+", found["image"])
    assert found["restart"] == "unless-stopped"


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_what_is_mounted_is_there(service: str) -> None:
    for inside, outside in mounts(service).items():
        named = outside in COMPOSE["volumes"]
        assert named or (DEPLOY / outside).exists() or inside == "/models", outside


def test_the_server_is_the_images() -> None:
    """Port, folder and target are those of the Dockerfile, whose command and variables are used as they are."""
    server = SERVICES["server"]
    stages = re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.MULTILINE)
    assert server["build"]["target"] in stages
    assert (DEPLOY / server["build"]["context"] / "Dockerfile").is_file()
    exposed = re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE)[0].split()
    assert [port.split(":")[-1] for port in server["ports"]] == exposed[:2]
    assert server["environment"]["GENRESTACK_SERVE_HTTP_PORT"] == exposed[1]
    assert set(mounts("server")) == set(re.findall(r'^CMD \["serve", "([^"]+)"\]', DOCKERFILE, re.MULTILINE))
    version = re.findall(r'image\.version="([^"]+)"', DOCKERFILE)[0]
    assert server["image"] == f"genrestack-server:{version}"


def test_the_server_has_time_to_drain() -> None:
    from genrestack_server import ServerConfig

    assert float(SERVICES["server"]["stop_grace_period"].removesuffix("s")) > ServerConfig(models_dir=Path()).grace


def test_prometheus_finds_the_server() -> None:
    settings = read("prometheus/compose.yml")
    (job,) = settings["scrape_configs"]
    (looked_up,) = job["dns_sd_configs"]
    assert job["job_name"] == read("prometheus/prometheus.yml")["scrape_configs"][0]["job_name"]
    assert set(looked_up["names"]) <= set(SERVICES)
    assert str(looked_up["port"]) in re.findall(r"GENRESTACK_SERVE_METRICS_PORT=(\d+)", DOCKERFILE)
    configured = SERVICES["prometheus"]["command"][0].removeprefix("--config.file=")
    assert Path(configured).parent.as_posix() in mounts("prometheus")
    assert (DEPLOY / "prometheus" / Path(configured).name).is_file()


def test_prometheus_takes_its_settings_and_flags() -> None:
    need(shutil.which("promtool"), "promtool (Debian package prometheus)")
    folder = DEPLOY / "prometheus"
    command = ["promtool", "check", "config", "compose.yml"]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    known = subprocess.run(["prometheus", "--help"], check=False, capture_output=True, text=True)
    flags = [flag.split("=")[0] for flag in SERVICES["prometheus"]["command"]]
    assert [flag for flag in flags if flag not in known.stdout + known.stderr] == []


def test_grafana_finds_prometheus_and_its_dashboard() -> None:
    (source,) = read("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    host, port = source["url"].removeprefix("http://").split(":")
    assert [published.split(":")[-1] for published in SERVICES[host]["ports"]] == [port]
    interval = read("prometheus/compose.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == interval
    (provider,) = read("grafana/provisioning/dashboards/genrestack.yml")["providers"]
    folder = mounts("grafana")[provider["options"]["path"]]
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.parent.as_posix() == provider["options"]["path"]
    assert (DEPLOY / folder / home.name).is_file()
