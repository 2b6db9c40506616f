"""What cannot be seen from outside: deadlines before compute, the catch-all, texts and public names."""

import asyncio
import logging
from typing import Any
from urllib.parse import quote

import grpc
import numpy as np
import pytest
from server.running.watching import advance

import genrestack_server
from genrestack_server.call import Call
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import Draining, InvalidInput, RequestError, Violation
from genrestack_server.inference.admission import AdmissionControl
from genrestack_server.inference.validation import check_answer
from genrestack_server.service.lifecycle import Lifecycle
from genrestack_server.service.status import CODES, to_status
from genrestack_server.telemetry.observer import Observer


def test_the_unexpected_is_internal_with_an_id_that_the_log_carries(caplog: pytest.LogCaptureFixture) -> None:
    async def explode(_: Call) -> None:
        raise ZeroDivisionError("/secret/path")

    with caplog.at_level(logging.ERROR):
        status = asyncio.run(Lifecycle(Observer()).run(Call("Predict"), explode))
    assert status is not None
    assert status.code == grpc.StatusCode.INTERNAL.value[0]
    assert "secret" not in status.message
    (record,) = caplog.records
    number = record.getMessage().split()[-1]
    assert number in status.message
    assert record.exc_info


def test_every_request_error_has_a_status() -> None:
    def leaves(kind: type[RequestError]) -> list[type[RequestError]]:
        below = [leaf for child in kind.__subclasses__() for leaf in leaves(child)]
        return below or [kind]

    for kind in leaves(RequestError):
        assert any(parent in CODES for parent in kind.__mro__), kind


def test_an_answer_that_is_not_finite_is_refused() -> None:
    table = np.full((3, 2), 0.5, dtype=np.float32)
    check_answer(table)
    table[1, 0] = np.nan
    with pytest.raises(InvalidInput, match=r"rows\[1\]: the model has no finite answer"):
        check_answer(table)


def test_admission_knows_when_the_last_call_has_ended() -> None:
    async def walk() -> None:
        admission = AdmissionControl()
        with admission.admit():
            admission.close()
            assert not await admission.wait_idle(0.01)
            with pytest.raises(Draining), admission.admit():
                pass
        assert await admission.wait_idle(0)

    asyncio.run(walk())


def test_closed_admission_is_quiet_when_nobody_comes_any_more() -> None:
    async def walk() -> None:
        admission = AdmissionControl()
        admission.close()
        settled = asyncio.ensure_future(admission.wait_quiet(600, 3600))
        for _ in range(3):
            await advance(300)
            with pytest.raises(Draining), admission.admit():
                pass
            await advance(300)
            assert not settled.done()
        # What is left of the present while, and a whole one.
        await advance(600)
        await advance(600)
        await settled
        await admission.wait_quiet(0.0, 0.0)

    asyncio.run(walk())


@pytest.mark.parametrize("option", [{"port": 65_536}, {"threads": 0}, {"max_rows": 0}, {"grace": -1.0}])
def test_options_have_bounds(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(option))} is .*; it must be a "):
        ServerConfig(**option)


def test_a_status_fits_into_trailers_whatever_the_names() -> None:
    status = to_status(InvalidInput([Violation("rows." + "é" * 5000, "\N{GRINNING FACE}" * 5000)] * 5))
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert status.details
    assert len(quote(status.message)) + status.ByteSize() * 4 / 3 < 8000


def test_public_names() -> None:
    assert all(getattr(genrestack_server, name).__name__ == name for name in genrestack_server.__all__)
    with pytest.raises(AttributeError):
        genrestack_server.nonsense  # noqa: B018 - the look-up is the test
