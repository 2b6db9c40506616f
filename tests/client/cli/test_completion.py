"""Completion in real shells, from the script that the command prints."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.tools import need

BIN = Path(sys.executable).parent
# What a shell does at the Tab key, with the words of the line in COMP_WORDS.
BASH = """
eval "$(genrestack completion bash)"
compopt() { printf '%s\n' "compopt $2"; }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
complete -p genrestack
_genrestack_completion genrestack
printf '%s\\n' "${COMPREPLY[@]}"
"""


def run(*argv: str, **further: str) -> "subprocess.CompletedProcess[str]":
    env = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"} | further
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=env)


def bash(*words: str) -> list[str]:
    """Complete the last of the words."""
    done = run("bash", "--norc", "-c", BASH, "bash", "genrestack", *words)
    assert (done.returncode, done.stderr) == (0, "")
    registered, *offered = done.stdout.splitlines()
    assert registered.endswith("-F _genrestack_completion genrestack")
    return [line for line in offered if line]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("tr",), ["train"]),
        (
            ("",),
            ["bench", "completion", "doctor", "features", "health", "models", "predict", "serve", "train"],
        ),
        (("train", "--bac"), ["--backend"]),
        (("train", "--backend", ""), ["local", "ray"]),
        (("serve", "--prov"), ["--provider"]),
        (("serve", "--provider", ""), ["auto", "cpu", "cuda", "tensorrt"]),
        (("serve", "--log-format", "j"), ["json"]),
        (("export", "--pre"), ["--precision"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("features", "--no-l"), ["--no-labels"]),
    ],
    ids=lambda value: "-".join(value) or "nothing",
)
def test_bash_completes(words: tuple[str, ...], offered: list[str]) -> None:
    found = bash(*words)
    assert set(offered) <= set(found)
    assert found == offered or words == ("",)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("serve", ""), "dirnames"),
        (("serve", "--tls-cert", ""), "default"),
        (("predict", ""), "default"),
        (("doctor", "--models", ""), "default"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_bash_is_told_to_complete_files(words: tuple[str, ...], kind: str) -> None:
    assert bash(*words) == [f"compopt {kind}"]


def test_completing_loads_nothing_heavy() -> None:
    """Nobody waits for a Tab key."""
    code = """
import sys
from genrestack.cli.main import main
try:
    main()
finally:
    heavy = {"tensorflow", "keras", "sklearn", "pandas", "numpy", "grpc", "onnx", "onnxruntime", "librosa"}
    print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    asked = {"_GENRESTACK_COMPLETE": "bash_complete", "COMP_WORDS": "genrestack train --", "COMP_CWORD": "2"}
    done = run(sys.executable, "-c", code, **asked)
    assert "plain,--preset" in done.stdout
    assert done.stderr == "[]\n"


def test_fish_completes() -> None:
    need(shutil.which("fish"), "fish")
    script = "genrestack completion fish | source; complete --do-complete 'genrestack tr'"
    done = run("fish", "--no-config", "-c", script)
    assert done.returncode == 0, done.stderr
    name, _, summary = done.stdout.strip().partition("\t")
    assert (name, bool(summary)) == ("train", True)


def test_zsh_takes_the_script() -> None:
    need(shutil.which("zsh"), "zsh")
    script = 'autoload -Uz compinit; compinit -u -D; eval "$(genrestack completion zsh)"; echo $_comps[genrestack]'
    done = run("zsh", "-f", "-c", script)
    assert (done.returncode, done.stdout.strip()) == (0, "_genrestack_completion"), done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_says_how_to_install_it(shell: str) -> None:
    argv: list[str | Path] = [BIN / "genrestack", "completion", shell]
    script = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    comment = [line for line in script.splitlines() if line.startswith("#")]
    assert any(f"genrestack completion {shell}" in line for line in comment)
    assert shell in comment[0]
