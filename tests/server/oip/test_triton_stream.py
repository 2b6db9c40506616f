"""ModelStreamInfer through tritonclient's own stream, and through its stub."""

from collections.abc import Iterator
from queue import Queue
from typing import Any

import numpy as np
from server.bundles.tiny import TinyStack, draw_rows
from server.oip.asking import features, outputs, typed
from support.waiting import GUARD_S


def test_start_stream_with_a_bad_item(client: Any, stack: TinyStack) -> None:
    answers: Queue[tuple[Any, Any]] = Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(20):
        rows = draw_rows(1 + number % 4, seed=number)
        model = "rock" if number == 3 else "tiny"
        client.async_stream_infer(model, features(rows), outputs=outputs("probabilities"), request_id=str(number))
    got = [answers.get(timeout=GUARD_S) for _ in range(20)]
    client.stop_stream()
    for number, (result, error) in enumerate(got):
        if number == 3:
            assert error.message() == "there is no model 'rock' here; served: tiny"
        else:
            assert error is None
            expected = stack.predict_proba(draw_rows(1 + number % 4, seed=number))
            np.testing.assert_allclose(result.as_numpy("probabilities"), expected, atol=1e-6)


def test_an_error_says_whose_it_is(inference_stub: Any) -> None:
    rows = draw_rows(1)

    def requests() -> Iterator[Any]:
        yield typed(rows, "label", id="first")
        yield typed(rows, "mood", id="second")
        yield typed(rows, "label", id="third")

    first, second, third = inference_stub.ModelStreamInfer(requests())
    assert [answer.infer_response.id for answer in (first, second, third)] == ["first", "second", "third"]
    assert second.error_message.startswith("outputs[0].name: tiny/2 has no output 'mood'")
    assert not second.infer_response.outputs
    assert not first.error_message + third.error_message
    assert all(a.infer_response.parameters["triton_final_response"].bool_param for a in (first, second, third))


def test_bytes_that_are_no_request_fail_alone(tiny_server: Any, stack: TinyStack) -> None:
    from tritonclient.grpc import service_pb2

    good = typed(draw_rows(1), "label").SerializeToString()
    call = tiny_server.channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
    first, second = map(service_pb2.ModelStreamInferResponse.FromString, call(iter([b"\xff\xff", good])))
    assert "cannot parse the request as inference.ModelInferRequest (2 bytes)" in first.error_message
    assert len(second.infer_response.outputs) == 1


def test_an_empty_stream_ends(inference_stub: Any) -> None:
    assert list(inference_stub.ModelStreamInfer(iter([]))) == []
