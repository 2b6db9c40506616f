"""Calls by h2load: what it prints is read, errors of gRPC are not taken for answers, and it really calls."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.tools import need

from benchmarks.reporting.budget import QUICK
from benchmarks.serving import h2load
from benchmarks.serving.echo import METHOD
from benchmarks.serving.servers import echo_server
from benchmarks.suites.c_callers import c_callers

SCANT = replace(QUICK, many_callers_rounds=1, generated_calls=200)
PRINTED = """\
starting benchmark...
spawning thread #0: 1 total client(s). 200 total requests
Application protocol: h2c
progress: 100% done

finished in 55.06ms, 3632.46 req/s, 151.21KB/s
requests: 200 total, 200 started, 200 done, 199 succeeded, 1 failed, 0 errored, 0 timeout
status codes: 199 2xx, 0 3xx, 0 4xx, 1 5xx
traffic: 8.33KB (8525) total, 1.60KB (1640) headers (space savings 87.94%), 2.93KB (3000) data
                     min         max         mean         sd        +/- sd
time for request:     1.17ms     22.97ms     10.40ms      5.15ms    64.00%
"""


def test_what_it_prints_is_read() -> None:
    calls = h2load.parse(PRINTED)
    assert calls == h2load.Calls(3632.46, 200, 199, 3000)
    assert calls.answered(10) == 0.995
    # Answers that have no data are errors, whatever their status.
    assert calls.answered(25) == 0.5
    with pytest.raises(ValueError, match="cannot read what h2load printed: usage"):
        h2load.parse("usage")


def test_left_out_where_it_is_not_installed(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert c_callers(models_dir, SCANT) == ()
    assert "h2load (Debian package nghttp2-client) is not installed" in capsys.readouterr().err


def test_our_server_and_the_echo(models_dir: Path) -> None:
    need(shutil.which("h2load"), h2load.PACKAGE)
    (figure,) = c_callers(models_dir, SCANT)
    assert figure.baseline is not None
    assert figure.ratio == pytest.approx(figure.value / figure.baseline.value)


def test_errors_are_no_answers() -> None:
    need(shutil.which("h2load"), h2load.PACKAGE)
    with echo_server(10) as address:
        answered = h2load.call(address, METHOD, b"request", calls=40, at_once=4)
        errors = h2load.call(address, "/no.Such/Method", b"request", calls=40, at_once=4)
    assert answered.answered(10) == 1
    assert errors.succeeded == 40
    assert errors.answered(10) == 0
