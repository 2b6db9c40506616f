"""The shell: subcommands found and explained, one line for what a person can put right, exit statuses."""

import os
import signal
import socket
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import click
import pytest
from support.interrupts import interruptible

from genrestack.cli import main

COMMANDS = ("bench", "demo", "export", "health", "models", "predict", "serve", "token", "train")


def genrestack(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "genrestack", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def contributed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Make the shell find one subcommand, `extra`, made of the given source."""

    def make(source: str, name: str = "extra") -> None:
        module = f"contributed_{abs(hash(source))}"
        (tmp_path / f"{module}.py").write_text(f"import click\n{source}", encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        entry = EntryPoint(name, f"{module}:{name}", main.GROUP)
        monkeypatch.setattr(main, "_contributed", lambda: {name: entry})

    return make


def test_help_lists_every_subcommand_with_a_line() -> None:
    done = genrestack("--help")
    assert done.returncode == 0, done.stderr
    listed = {
        line.split()[0]: line.split()[1:]
        for line in done.stdout.splitlines()
        if line.startswith("  ") and line[2:3].isalpha()
    }
    for name in COMMANDS:
        assert listed[name], name


def test_version() -> None:
    assert genrestack("--version").stdout.startswith("genrestack 0.")


@pytest.mark.parametrize("name", ["bench", "demo", "health", "models", "predict", "token"])
def test_help_has_an_example(name: str) -> None:
    done = genrestack(name, "--help")
    assert done.returncode == 0
    assert f"Example: genrestack {name}" in " ".join(done.stdout.split())


def test_an_unknown_command_suggests_close_ones() -> None:
    done = genrestack("predcit")
    assert done.returncode == 2
    assert "there is no command 'predcit'; did you mean predict?" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_command_is_help() -> None:
    assert "Commands:" in genrestack().stdout + genrestack().stderr


@pytest.mark.parametrize("where", ["at import", "when run"])
def test_a_missing_library_is_one_line(contributed: Any, capsys: pytest.CaptureFixture[str], where: str) -> None:
    line = "import no_such_library"
    body = "pass" if where == "at import" else line
    contributed(f"{line if where == 'at import' else ''}\n@click.command()\ndef train():\n    {body}\n", "train")
    assert main.run(["train", "table.csv"] if where == "at import" else ["train"]) == 1
    assert capsys.readouterr().err == 'Error: genrestack train needs: pip install "genrestack[train]"\n'
    assert main.run(["--help"]) == 0
    if where == "at import":
        assert 'needs: pip install "genrestack[train]"' in capsys.readouterr().out


def test_a_library_of_one_option_names_the_extra_of_that_option(
    contributed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    contributed("@click.command()\ndef train():\n    raise ModuleNotFoundError(name='ray')\n", "train")
    assert main.run(["train"]) == 1
    assert capsys.readouterr().err == 'Error: ray is not installed: pip install "genrestack[ray]"\n'


def test_without_a_tensorflow_for_this_python_no_installation_is_advised(
    contributed: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genrestack.cli.pythons.TENSORFLOW_BELOW", sys.version_info[:2])
    here = ".".join(map(str, sys.version_info[:2]))
    for name, library, advised in (
        ("train", "tensorflow", False), ("train", "pandas", False), ("export", "tensorflow", False),
        ("export", "skl2onnx", True), ("report", "matplotlib", True),
    ):  # fmt: skip
        contributed(f"@click.command()\ndef {name}():\n    raise ModuleNotFoundError(name='{library}')\n", name)
        assert main.run([name]) == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert ("pip install" in said) == advised
        assert (f"needs TensorFlow, which has no stable release for Python {here}: use Python 3.1" in said) != advised


def test_a_missing_module_of_our_own_is_no_advice_to_install(contributed: Any) -> None:
    contributed("@click.command()\ndef extra():\n    import genrestack.no_such_module\n")
    with pytest.raises(ModuleNotFoundError):
        main.run(["extra"])


def test_expected_errors_are_one_line(contributed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    contributed("from genrestack import NotFound\n@click.command()\ndef extra():\n    raise NotFound('no model x')\n")
    assert main.run(["extra"]) == 1
    assert capsys.readouterr().err == "Error: no model x\n"


def test_the_exit_status_of_a_subcommand_is_kept(contributed: Any) -> None:
    contributed("@click.command()\ndef extra():\n    raise SystemExit(7)\n")
    with pytest.raises(SystemExit) as caught:
        main.main(["extra"])
    assert caught.value.code == 7
    contributed("@click.command()\n@click.pass_context\ndef extra(context):\n    context.exit(3)\n")
    assert main.run(["extra"]) == 3


def test_ctrl_c_is_quiet_and_130() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"127.0.0.1:{silent.getsockname()[1]}"
        argv = [sys.executable, "-m", "genrestack", "health", "--server", server, "--wait", "3600"]
        with interruptible():
            process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with process:
            # It connects, and so it is waiting.
            silent.accept()[0].close()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()
    assert (process.returncode, out, err.strip()) == (130, "", "")


def test_a_reader_that_goes_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "genrestack", "--help"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_every_contributed_command_is_a_click_command() -> None:
    for name, entry in main._contributed().items():
        loaded = entry.load()
        assert isinstance(loaded, click.Command), name
