"""A build is told where packages are, as pip on this machine is, and nothing more."""

from pathlib import Path

import pytest
from image.registry import Registry, read_settings

LISTED = r"""
:env:.cert='/some/ca.pem'
:env:.find-links=''
freeze.timeout='10'
global.extra-index-url='https://user:secret@packages.example/simple\nhttps://other.example/simple'
global.find-links='/some/wheels'
global.no-color='true'
global.timeout='20'
install.timeout='30'
""".strip()


def test_variables_win_over_files() -> None:
    found = read_settings(LISTED.splitlines())
    assert found["find-links"] == ""
    assert found["timeout"] == "30"
    assert found["cert"] == "/some/ca.pem"


def test_the_build_sees_where_packages_are_and_no_paths_to_certificates(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    lines = Registry(read_settings(LISTED.splitlines()), bundle).pip_conf().splitlines()
    assert lines[0] == "[global]"
    assert sorted(lines[1:]) == [
        "cert = /run/secrets/ca",
        "extra-index-url = https://user:secret@packages.example/simple https://other.example/simple",
        "find-links = ",
        "timeout = 30",
    ]


def test_local_folders_are_lent_whole(tmp_path: Path) -> None:
    index, wheels, pins = tmp_path / "an index" / "simple", tmp_path / "wheels", tmp_path / "wheels" / "pins.txt"
    index.mkdir(parents=True)
    wheels.mkdir()
    pins.touch()
    places = {"index-url": index.as_uri(), "find-links": f"{wheels} https://a.example/x", "constraint": str(pins)}
    registry = Registry({**places, "extra-index-url": f"file://{tmp_path}/gone"}, None)
    assert registry.local() == [index.parent, wheels]
    assert {index.as_uri(), "https://a.example/x", str(wheels)} <= set(registry.traces())


@pytest.mark.parametrize("settings", [{}, {"index-url": "", "timeout": "9"}], ids=["nothing", "no places"])
def test_nothing_said_is_nothing_lent(settings: dict[str, str]) -> None:
    registry = Registry(settings, None)
    assert (registry.local(), registry.traces()) == ([], [])
