"""Whatever bytes arrive: no crash, no INTERNAL, INVALID_ARGUMENT names a field, and what is valid is answered."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.rpc import error_details_pb2, status_pb2
from hard.callers.mutants import METHODS, STREAMS, Sent, draw
from hard.callers.steady import TOLERANCE, Expected
from hard.lengths import times
from hard.served import OWN_CONNECTION, Served, served

from genrestack_proto.inference import open_inference_pb2 as oip
from genrestack_proto.matrix import from_matrix
from genrestack_proto.v1 import prediction_pb2 as native

COUNT = times(3_000, 120_000)
AT_ONCE = 24
A_STREAM = 6
DEADLINE = 30.0
# The last is what the protocol's own `timeout` parameter asks for.
# A model without a search for nearest training rows is asked for it now and then.
ALLOWED = {"OK", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND", "PERMISSION_DENIED", "DEADLINE_EXCEEDED"}


@dataclass
class Seen:
    """What came of it."""

    codes: Counter[str] = field(default_factory=Counter)
    valid: int = 0
    worst: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def note(self, sent: Sent, code: str, *, violations: int | None = None, details: str = "") -> None:
        """Judge the status of one message."""
        self.codes[code] += 1
        bad = code not in ALLOWED or (sent.valid and code != "OK") or violations == 0
        if bad and len(self.wrong) < 5:
            self.wrong.append(f"{sent.path} {code} ({details}): {sent.data[:400].hex()}")

    def compare(self, sent: Sent, data: bytes, expected: Expected) -> None:
        """Compare the answer to a valid message."""
        if not sent.valid:
            return
        alone = expected.answers["tiny", 1][sent.begin : sent.begin + sent.rows]
        difference = float(np.abs(_probabilities(sent.path, data) - alone).max())
        self.valid, self.worst = self.valid + 1, max(self.worst, difference)


def _probabilities(path: str, data: bytes) -> Any:
    name, _ = METHODS[path]
    if name == "Predict":
        return from_matrix(native.PredictResponse.FromString(data).probabilities)
    if name == "PredictStream":
        return from_matrix(native.PredictStreamResponse.FromString(data).response.probabilities)
    streamed = name == "ModelStreamInfer"
    response = (
        oip.ModelStreamInferResponse.FromString(data).infer_response
        if streamed
        else oip.ModelInferResponse.FromString(data)
    )
    place = [output.name for output in response.outputs].index("probabilities")
    tensor = response.outputs[place]
    values = (
        np.frombuffer(response.raw_output_contents[place], np.float32)
        if response.raw_output_contents
        else np.array(tensor.contents.fp32_contents, np.float32)
    )
    return values.reshape(tuple(tensor.shape))


def test_no_bytes_do_harm(repository: Path, expected: Expected, say: Callable[[str], None]) -> None:
    with served(repository) as server:
        warm = asyncio.run(_send(server, expected, seed=0, count=COUNT // 5))
        before = server.memory()
        seen = asyncio.run(_send(server, expected, seed=1, count=COUNT))
        grown = server.memory() / before - 1
        assert server.process.poll() is None, server.log()
        assert "internal error" not in server.log()
        assert server.stop() == 0
    assert not warm.wrong + seen.wrong, "\n".join(warm.wrong + seen.wrong)
    assert seen.valid > COUNT / 50
    assert seen.worst <= TOLERANCE
    # What the allocator keeps of the largest requests seen; a leak of a hundred bytes a request would be more.
    assert grown < times(15, 8) / 100
    codes = ", ".join(f"{code} {count:,}" for code, count in seen.codes.most_common())
    answered = f"{seen.valid:,} valid ones answered, largest difference {seen.worst:.1e}"
    say(f"{COUNT:,} messages ({codes}); {answered}; memory {grown:+.1%}")


async def _send(server: Served, expected: Expected, *, seed: int, count: int) -> Seen:
    dice, seen = random.Random(seed), Seen()
    drawn = (draw(dice, expected.pool) for _ in range(count))
    async with grpc.aio.insecure_channel(server.address, OWN_CONNECTION) as channel:

        async def caller() -> None:
            waiting: dict[str, list[Sent]] = {path: [] for path, (name, _) in METHODS.items() if name in STREAMS}
            for sent in drawn:
                if sent.path not in waiting:
                    await _call(channel, sent, seen, expected)
                    continue
                waiting[sent.path].append(sent)
                if len(waiting[sent.path]) == A_STREAM:
                    await _stream(channel, waiting[sent.path], seen, expected)
                    waiting[sent.path] = []

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(caller())
    return seen


async def _call(channel: grpc.aio.Channel, sent: Sent, seen: Seen, expected: Expected) -> None:
    try:
        call: Any = channel.unary_unary(sent.path)
        answer = await call(sent.data, timeout=DEADLINE)
    except grpc.aio.AioRpcError as error:
        metadata = dict(error.trailing_metadata() or ())
        status = status_pb2.Status.FromString(metadata.get("grpc-status-details-bin", b""))
        code, details = error.code().name, error.details() or ""
        seen.note(sent, code, violations=_violations(code, status), details=details)
    else:
        seen.note(sent, "OK")
        seen.compare(sent, answer, expected)


async def _stream(channel: grpc.aio.Channel, items: Sequence[Sent], seen: Seen, expected: Expected) -> None:
    """Send several messages in one stream: each is judged alone, and the stream outlives them all."""
    path = items[0].path
    call: Any = channel.stream_stream(path)
    answers = [answer async for answer in call(iter([item.data for item in items]), timeout=DEADLINE)]
    assert len(answers) == len(items), f"{len(answers)} answers to {len(items)} messages of {path}"
    for sent, data in zip(items, answers, strict=True):
        code, violations = _item_status(path, data)
        seen.note(sent, code, violations=violations)
        if code == "OK":
            seen.compare(sent, data, expected)


def _item_status(path: str, data: bytes) -> tuple[str, int | None]:
    if METHODS[path][0] == "PredictStream":
        response = native.PredictStreamResponse.FromString(data)
        code = next(code.name for code in grpc.StatusCode if code.value[0] == response.error.code)
        return code, _violations(code, response.error)
    # This protocol has a text and no code for an item that failed.
    message = oip.ModelStreamInferResponse.FromString(data).error_message
    assert "internal error" not in message
    return ("INVALID_ARGUMENT" if message else "OK"), None


def _violations(code: str, status: status_pb2.Status) -> int | None:
    if code != "INVALID_ARGUMENT":
        return None
    bad = error_details_pb2.BadRequest()
    return len(bad.field_violations) if status.details and status.details[0].Unpack(bad) else 0
