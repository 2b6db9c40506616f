"""Every setting, by flag, environment variable and file, from one model of them."""

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from genrestack_common.settings import Setting, settings_of
from genrestack_server import ServerConfig
from genrestack_server.cli import serve
from genrestack_server.config.server_config import SECTIONS
from genrestack_server.config.sources import as_toml, effective, toml_value, unknown_variables, variable
from tools.settings_table import PAGE, tables

SETTINGS = dict(settings_of(ServerConfig))
# What some settings need beside them, or may be alone.
COMPANIONS: Mapping[str, Mapping[str, Any]] = {
    "tls_cert": {"tls_key": "key.pem"},
    "tls_key": {"tls_cert": "cert.pem"},
    "tls_client_ca": {"tls_cert": "cert.pem", "tls_key": "key.pem"},
    "load_models": {"repository_mode": "explicit"},
}
VALUES: Mapping[str, Any] = {"version_policy": "1,3", "otel_endpoint": "http://localhost:4317"}
BY_KIND: Mapping[type, Any] = {int: 7, float: 0.5, str: 'odd "näme" \\ 😀', Path: Path("some/place"), tuple: ("a", "b")}


def other_value(setting: Setting) -> Any:
    """Some value that is not the default."""
    if setting.name in VALUES:
        return VALUES[setting.name]
    if setting.choices:
        return setting.choices[-1] if setting.choices[-1] != setting.default else setting.choices[0]
    if setting.kind is bool:
        return not setting.default
    value = BY_KIND[setting.kind]
    return value if setting.least is None else max(value, setting.kind(setting.least))


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner(env={f"GENRESTACK_SERVE_{name}": text for name, text in environ.items()}).invoke(
        serve, [*arguments, "--print-config"]
    )


def printed(*arguments: str, **environ: str) -> dict[str, Any]:
    result = run(*arguments, **environ)
    assert result.exit_code == 0, result.output
    return {key: value for section in tomllib.loads(result.output).values() for key, value in section.items()}


def refused(*arguments: str, **environ: str) -> str:
    result = run(*arguments, **environ)
    assert result.exit_code == 2, result.output
    return result.output.splitlines()[-1]


def words(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def as_flags(name: str, value: Any) -> list[str]:
    setting = SETTINGS[name]
    if setting.argument:
        return [str(value)]
    if setting.kind is bool:
        return [setting.option if value else f"--no-{setting.option.removeprefix('--')}"]
    return [text for item in (value if setting.kind is tuple else [value]) for text in (setting.option, str(item))]


def as_file(folder: Path, values: Mapping[str, Any]) -> str:
    sections = {SETTINGS[name].section: "" for name in values}
    for name, value in values.items():
        sections[SETTINGS[name].section] += f"{name} = {toml_value(value)}\n"
    file = folder / "serve.toml"
    file.write_text("".join(f"[{title}]\n{body}" for title, body in sections.items()), encoding="utf-8")
    return str(file)


def shown(value: Any) -> Any:
    """A value as the printed file has it."""
    return tomllib.loads(f"v = {toml_value(value)}")["v"]


@pytest.mark.parametrize("name", SETTINGS)
def test_all_three_ways_set_it_and_each_wins_over_the_next(name: str, tmp_path: Path) -> None:
    value, companions = other_value(SETTINGS[name]), COMPANIONS.get(name, {})
    assert value != SETTINGS[name].default
    extra = [text for key, item in companions.items() for text in as_flags(key, item)]
    file = as_file(tmp_path, {name: value})
    assert printed(*extra, *as_flags(name, value))[name] == shown(value)
    assert printed(*extra, **{name.upper(): words(value)})[name] == shown(value)
    assert printed(*extra, "--config", file)[name] == shown(value)
    assert printed(*extra, CONFIG=file)[name] == shown(value)


@pytest.mark.parametrize("name", ["port", "batching", "grace", "log_format", "models_dir"])
def test_a_flag_wins_over_a_variable_and_that_over_the_file(name: str, tmp_path: Path) -> None:
    setting = SETTINGS[name]
    value, default = other_value(setting), setting.default
    file = as_file(tmp_path, {name: value})
    assert printed("--config", file, **{name.upper(): words(default)})[name] == shown(default)
    assert printed("--config", file, *as_flags(name, default), **{name.upper(): words(value)})[name] == shown(default)


def test_what_is_printed_can_be_fed_back_and_says_where_it_came_from(tmp_path: Path) -> None:
    file = as_file(tmp_path, {"max_rows": 9, "tls_cert": "c.pem", "tls_key": "k.pem", "grace": float("inf")})
    first = run("--config", file, "--port", "0", "--no-batching", WORKERS="2")
    lines = dict(line.split(" = ", 1) for line in first.output.splitlines() if " = " in line and line[0] != "#")
    assert lines["max_rows"] == f"9  # file {file}"
    assert lines["tls_cert"] == f'"{tmp_path / "c.pem"}"  # file {file}'
    assert lines["port"] == "0  # flag --port"
    assert lines["workers"] == "2  # variable GENRESTACK_SERVE_WORKERS"
    assert lines["grace"] == f"inf  # file {file}"
    assert lines["max_message_mib"] == "64  # default"
    again = tmp_path / "again.toml"
    again.write_text(first.output, encoding="utf-8")
    second = run("--config", str(again))
    assert tomllib.loads(second.output) == tomllib.loads(first.output)


def test_names_with_control_characters_survive(tmp_path: Path) -> None:
    config = effective({"default_model": 'a\n\t"\\\x7f\x00é'}, {}, None)
    file = tmp_path / "serve.toml"
    file.write_text(as_toml(config), encoding="utf-8")
    assert effective({}, {}, file).config.default_model == config.config.default_model


def test_an_empty_flag_takes_back_what_the_file_set(tmp_path: Path) -> None:
    file = as_file(tmp_path, {"metrics_port": 9000})
    assert "metrics_port" not in printed("--config", file, "--metrics-port", "")
    assert printed("--config", file, METRICS_PORT="")["metrics_port"] == 9000


@pytest.mark.parametrize("name", [name for name, setting in SETTINGS.items() if setting.least is not None])
def test_out_of_bounds(name: str, tmp_path: Path) -> None:
    setting = SETTINGS[name]
    assert setting.least is not None
    value = setting.kind(setting.least - 1)
    expected = f"is {value}; it must be {setting.expected}"
    with pytest.raises(ValueError, match=f"^{name} is"):
        ServerConfig(**{name: value})
    assert refused(*as_flags(name, value)).endswith(f"Invalid value for '{setting.option}': it {expected}")
    assert refused(**{name.upper(): str(value)}) == f"Error: the environment variable {variable(setting)} {expected}"
    file = as_file(tmp_path, {name: value})
    assert refused("--config", file) == f"Error: {file}: {setting.section}.{name} {expected}"


@pytest.mark.parametrize("name", [name for name, setting in SETTINGS.items() if setting.kind is float])
def test_not_a_number_fits_nowhere(name: str) -> None:
    nan: dict[str, Any] = {name: float("nan")}
    with pytest.raises(ValueError, match=f"^{name} is nan; it must be a number"):
        ServerConfig(**nan)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[limits]\nmax_row = 1\n", "[limits] has no section or key 'max_row'; did you mean max_rows?"),
        ("[limits]\nport = 1\n", "[limits] does not hold port; it belongs in [server]"),
        ("[limit]\nmax_rows = 1\n", "has no section or key 'limit'; did you mean limits?"),
        ("port = 1\n", "does not hold port; it belongs in [server]"),
        ("limits = 1\n", "limits must be a section: write [limits] on a line of its own"),
        ("[server]\nport = '1'\n", "server.port is '1'; it must be a whole number from 0 to 65,535"),
        ("[server]\nport = true\n", "server.port is True; it must be a whole number from 0 to 65,535"),
        ("[server]\nport = 1.0\n", "server.port is 1.0; it must be a whole number from 0 to 65,535"),
        ("[batching]\nbatching = 1\n", "batching.batching is 1; it must be true or false"),
        ("[server]\nprovider = 'tpu'\n", "server.provider is 'tpu'; it must be one of auto, cpu, cuda, tensorrt"),
        ("[server]\nhost = ''\n", "server.host is ''; it must be a text"),
        ("[models]\nmodels_dir = ''\n", "models.models_dir is ''; it must be a path"),
        ("[models]\nload_models = 'a'\n", "models.load_models is 'a'; it must be a list of names"),
        ("[models]\nversion_policy = 'last'\n", "it must be latest:N, all, or version numbers such as 1,3"),
        ("[observing]\notel_endpoint = 'here'\n", "it must be a URL such as http://localhost:4317"),
        ("[server\n", "is not TOML: Expected ']'"),
        ("a = " + "[" * 10_000, "is not TOML: lists or tables are nested too deeply"),
        ("[server]\nport = " + "9" * 5000, "is not TOML: Exceeds the limit"),
        (".".join("a" * 2**16) + " = 1\n", "is larger than 64 KiB"),
    ],
)
def test_a_wrong_file_names_itself_the_key_and_what_it_may_be(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text(text)
    line = refused("--config", str(file))
    assert line.startswith(f"Error: {file}")
    assert said in line


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "gone.toml"
    assert refused("--config", str(missing)) == (f"Error: there is no file {missing}; check the path")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    assert f"Error: {binary} is not TOML: " in refused("--config", str(binary))


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"PORT": "tcp://10.0.0.1:50051"}, "give the pod enableServiceLinks: false"),
        ({"BATCHING": "perhaps"}, "GENRESTACK_SERVE_BATCHING is 'perhaps'; it must be true or false"),
        ({"GRACE": "soon"}, "GENRESTACK_SERVE_GRACE is 'soon'; it must be a number, 0 or more"),
    ],
)
def test_a_wrong_variable_is_named(environ: dict[str, str], said: str) -> None:
    assert said in refused(**environ)


def test_settings_that_need_each_other() -> None:
    assert "tls_cert is given without tls_key" in refused("--tls-cert", "c.pem")
    assert "tls_key is given without tls_cert" in refused("--tls-key", "k.pem")
    assert "mutual TLS needs all three" in refused("--tls-client-ca", "ca.pem")
    assert 'use "explicit"' in refused("--load-model", "a")


def test_a_variable_that_sets_nothing_is_named() -> None:
    environ = {"GENRESTACK_SERVE_MAX_ROW": "1", "GENRESTACK_SERVE_CONFIG": "x", "GENRESTACK_SERVE_PORT": "1"}
    assert unknown_variables(environ) == [
        "the environment variable GENRESTACK_SERVE_MAX_ROW sets nothing; did you mean GENRESTACK_SERVE_MAX_ROWS?"
    ]


def test_help_has_every_flag_under_its_section() -> None:
    text = CliRunner(env={}).invoke(serve, ["--help"], terminal_width=100).output
    places = [text.index(f"\n{title}:\n") for title in SECTIONS.values()]
    assert places == sorted(places)
    assert "Examples:" in text
    for name, setting in SETTINGS.items():
        if not setting.argument:
            title = f"\n{SECTIONS[setting.section]}:\n"
            assert text.index(title) < text.index(f"  {setting.option}"), name


def test_every_field_is_a_setting_of_a_known_section() -> None:
    assert list(SETTINGS) == [field.name for field in fields(ServerConfig)]
    assert {setting.section for setting in SETTINGS.values()} == set(SECTIONS)
    for name, setting in SETTINGS.items():
        assert setting.about.endswith("."), name
        setting.check(setting.default)


def test_the_table_of_the_docs_is_of_today() -> None:
    page = PAGE.text()
    assert PAGE.with_passage(tables()) == page, "run: python tools/settings_table.py --write"
    assert [name for name in SETTINGS if f"| `{name}` |" not in page] == []
