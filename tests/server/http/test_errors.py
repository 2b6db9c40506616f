"""What is wrong with a request, by status and field; and that nothing internal, and nothing but JSON, comes back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from server.bundles.held import holding
from server.bundles.tiny import TinyStack, draw_rows, write_tiny
from server.http.asking import INFER, Http, asking, in_bytes, in_json, sent, status_of
from server.running.live import Running, RunServer
from server.running.watching import on_loop

from genrestack_server.inference.batcher import Batcher

ROWS = draw_rows(2)


def changed(**fields: Any) -> dict[str, Any]:
    """A request of JSON, with some of its one input otherwise; None takes a field away."""
    document = in_json(ROWS)
    document["inputs"][0] |= fields
    document["inputs"][0] = {name: value for name, value in document["inputs"][0].items() if value is not None}
    return document


def with_data(data: Any) -> dict[str, Any]:
    return changed(data=data)


def label_with(**parameters: Any) -> dict[str, Any]:
    return in_json(ROWS, outputs=[{"name": "label", "parameters": parameters}])


SHARED = "shared_memory_region"
SIZE = "inputs[0].parameters[binary_data_size]"
VALUES = ROWS.astype(float).ravel().tolist()
INPUT = changed()["inputs"][0]


@pytest.mark.parametrize(
    ("document", "field", "said"),
    [
        (None, "request", "it is empty"),
        ([], "request", "expected an object, but it is a list"),
        ("text", "request", "expected an object, but it is a string"),
        ({}, "inputs", "there are none"),
        ({"inputs": {}}, "inputs", "expected a list, but it is an object"),
        ({"inputs": [1]}, "inputs[0]", "expected an object, but it is a number"),
        ({"inputs": [INPUT, INPUT]}, "inputs[1].name", "'features' is sent twice"),
        (changed(name=None), "inputs[0].name", "there is no input ''"),
        (changed(name="rows"), "inputs[0].name", "there is no input 'rows'; the one input is 'features'"),
        (changed(name=None, datatype=7), "inputs[0].datatype", "expected a string"),
        (changed(datatype="INT64"), "inputs[0].datatype", "'INT64' is not taken; send 'features' as FP32 or FP64"),
        (changed(shape=None), "inputs[0].shape", "expected two numbers"),
        (changed(shape=[2]), "inputs[0].shape", "expected two numbers"),
        (changed(shape=[2, 4.0]), "inputs[0].shape[1]", "expected a whole number, but it is a number"),
        (changed(shape=[True, 4]), "inputs[0].shape[0]", "expected a whole number, but it is true or false"),
        (changed(shape=[2**63, 4]), "inputs[0].shape[0]", "expected a whole number from"),
        (changed(shape=[-2, -4]), "inputs[0].shape", "has a negative number"),
        (changed(shape=[0, 4], data=[]), "inputs[0].shape", "no rows"),
        (changed(shape=[1001, 4]), "inputs[0].shape", "--max-rows"),
        (changed(shape=[4, 2]), "inputs[0].shape", "2 columns, but tiny/2 takes 4"),
        (changed(data=None), "inputs[0].data", "shape (2, 4) means 8 values, but 0 came"),
        (with_data(VALUES[1:]), "inputs[0].data", "shape (2, 4) means 8 values, but 7 came"),
        (with_data("AAAA"), "inputs[0].data", "expected a list, but it is a string"),
        (with_data([*VALUES[1:], None]), "inputs[0].data[7]", "expected a number, but it is null"),
        (with_data([*VALUES[:3], True]), "inputs[0].data[3]", "expected a number, but it is true or false"),
        (with_data([*VALUES[1:], [1]]), "inputs[0].data[7]", "expected a number, but it is a list"),
        (with_data([VALUES]), "inputs[0].data", "shape (2, 4) means 2 rows, but 1 came"),
        (with_data([VALUES[:3], VALUES[3:]]), "inputs[0].data[0]", "means 4 values in each row, but 3 came"),
        (with_data([VALUES[:4], 1]), "inputs[0].data[1]", "expected a list, as the first row is"),
        (with_data([[[1]], [[2]]]), "inputs[0].data[0]", "means 4 values in each row"),
        (with_data([10**400, *VALUES[1:]]), "inputs[0].data", "larger than any float64"),
        (with_data([1e300, *VALUES[1:]]), "rows[0].chroma", "infinite"),
        (changed(parameters=[]), "inputs[0].parameters", "expected an object"),
        (changed(parameters={"binary_data_size": 32}), "inputs[0].parameters[binary_data_size]", "Content-Length"),
        (changed(parameters={"binary_data_size": -1}), "inputs[0].parameters[binary_data_size]", "from 0"),
        (changed(parameters={"x": None}), "inputs[0].parameters[x]", "expected true, false, a number or a string"),
        (changed(parameters={SHARED: "r"}), f"inputs[0].parameters[{SHARED}]", "shared memory"),
        (in_json(ROWS, "nothing"), "outputs[0].name", "has no output 'nothing'"),
        (in_json(ROWS, "label", "label"), "outputs[1].name", "is named twice"),
        (in_json(ROWS, outputs=3), "outputs", "expected a list"),
        (label_with(classification=2), "outputs[0].parameters[classification]", "not answered"),
        (label_with(binary_data=1), "outputs[0].parameters[binary_data]", "expected true or false"),
        (in_json(ROWS, id=7), "id", "expected a string, but it is a number"),
        (in_json(ROWS, id="\ud800"), "id", "half a surrogate pair"),
        (in_json(ROWS, parameters={"\udfff": 1}), "parameters", "half a surrogate pair"),
        (in_json(ROWS, parameters={"timeout": "soon"}), "parameters[timeout]", "expected a whole number"),
        (in_json(ROWS, parameters={"timeout": -1}), "parameters[timeout]", "is negative"),
        (in_json(ROWS, parameters={"priority": 1.5}), "parameters[priority]", "expected a whole number"),
        (in_json(ROWS, parameters={"seed": 2**64}), "parameters[seed]", "more than 64 bits"),
    ],
)  # fmt: skip
def test_fields_at_fault(http: Http, document: Any, field: str, said: str) -> None:
    answer = http.infer(document)
    assert answer.status == 400
    found = answer.document
    assert found["code"] == "INVALID_ARGUMENT"
    assert answer.violations[0] == field
    assert said in found["violations"][0]["description"]
    assert found["error"].startswith(f"{field}: ")
    assert found["request_id"] == answer.headers["x-request-id"]
    assert http.infer(in_json(ROWS)).status == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "it is not JSON from line 1, column 2 on"),
        (b'{"inputs": [\n1,]}', "it is not JSON from line 2, column 3 on"),
        (b'{"id": NaN}', "'NaN' is not JSON; send finite numbers"),
        (b'{"id": [-Infinity]}', "'-Infinity' is not JSON"),
        (b'{"id": "\xff"}', "byte 8 is not UTF-8"),
        ('{"id": "é"}'.encode("utf-16"), "byte 0 is not UTF-8"),
        (b"\xef\xbb\xbf{}", "it is not JSON from line 1, column 1 on"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 131_073, "it has more than 131,072 lists, objects and strings"),
        (b'["",' + b'"",' * 131_072 + b'""]', "it has more than 131,072 lists, objects and strings"),
        (b"[" + b"9" * 5000 + b"]", "a whole number of more digits than are read"),
        (b"[" + b"9," * 40_000 + b"9" * 5000 + b"]", "a whole number of more digits than are read"),
        (b"\x00" * 70_000, "it is not JSON"),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else "",
)
def test_what_is_not_json(http: Http, body: bytes, said: str) -> None:
    answer = http.ask("POST", INFER, body)
    assert (answer.status, answer.violations) == (400, ["request"])
    assert said in answer.document["error"]


def in_parts(size: int | None = None, **fields: Any) -> tuple[dict[str, Any], bytes]:
    document, data = in_bytes(ROWS)
    document["inputs"][0] |= fields
    if size is not None:
        document["inputs"][0]["parameters"]["binary_data_size"] = size
    return document, data


@pytest.mark.parametrize(
    ("parts", "field", "said"),
    [
        (in_parts(31), "inputs", "1 byte after the JSON belong to no input"),
        (in_parts(33), SIZE, "it is 33, but only 32 bytes follow"),
        (in_parts(2**62), SIZE, "bytes follow"),
        (in_parts(2**70), SIZE, "from 0"),
        (in_parts(shape=[1, 4]), SIZE, "shape (1, 4) means 16 bytes of FP32, but 32 came"),
        (in_parts(data=[1]), "inputs[0].data", "the values came as bytes too"),
        (in_parts(parameters={}), "inputs", "32 bytes after the JSON belong to no input"),
    ],
)  # fmt: skip
def test_bytes_at_fault(http: Http, parts: tuple[dict[str, Any], bytes], field: str, said: str) -> None:
    answer = http.infer_binary(*parts)
    assert (answer.status, answer.violations) == (400, [field])
    assert said in answer.document["error"]


@pytest.mark.parametrize("length", ["0", "-1", "x", "1000000", "9" * 5000, "", "1.0", "٣"])
def test_a_length_of_json_that_is_none(http: Http, length: str) -> None:
    header = {"Inference_Header_Content_Length": length.encode().decode("latin-1")}
    answer = http.ask("POST", INFER, json.dumps(in_json(ROWS)), **header)
    assert (answer.status, answer.violations) == (400, ["Inference-Header-Content-Length"])


def test_not_finite_bytes_name_row_and_feature(http: Http) -> None:
    rows = ROWS.copy()
    rows[1, 2] = np.nan
    document, data = in_bytes(rows)
    answer = http.infer_binary(document, data)
    assert (answer.status, answer.violations) == (400, ["rows[1].tempo"])


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "NOT_FOUND"),
        ("GET", "/v2/", 404, "NOT_FOUND"),
        ("GET", "/v1/models", 404, "NOT_FOUND"),
        ("GET", "/%ff%00", 404, "NOT_FOUND"),
        ("GET", "/v2/models/nothing", 404, "NOT_FOUND"),
        ("GET", "/v2/models/tiny/versions/9", 404, "NOT_FOUND"),
        ("GET", "/v2/models/tiny/versions/newest", 400, "INVALID_ARGUMENT"),
        ("GET", "/v2/models/ti%2Fny", 404, "NOT_FOUND"),
        ("POST", "/v2/models/nothing/infer", 404, "NOT_FOUND"),
        ("POST", "/v2", 405, "UNIMPLEMENTED"),
        ("DELETE", "/v2/models/tiny", 405, "UNIMPLEMENTED"),
        ("OPTIONS", INFER, 405, "UNIMPLEMENTED"),
        ("GET", INFER, 405, "UNIMPLEMENTED"),
        ("BREW", "/v2", 405, "UNIMPLEMENTED"),
        ("POST", "/v2/repository/models/tiny/load", 409, "FAILED_PRECONDITION"),
        ("POST", "/v2/repository/models/tiny/unload", 409, "FAILED_PRECONDITION"),
    ],
)
def test_paths_and_methods(http: Http, method: str, path: str, status: int, code: str) -> None:
    body = json.dumps(in_json(ROWS)) if path.endswith("/infer") and method == "POST" else None
    answer = http.ask(method, path, body)
    assert (answer.status, answer.document["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/json"
    assert ("allow" in answer.headers) == (status == 405)
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_head_is_get_without_a_body(http: Http) -> None:
    whole = http.get("/v2/models/tiny")
    head = http.ask("HEAD", "/v2/models/tiny")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]
    assert http.ask("HEAD", INFER).status == 405


def test_what_describes_server_and_models(http: Http) -> None:
    server = http.get("/v2").document
    assert server["name"] == "genrestack"
    assert "binary_tensor_data" in server["extensions"]
    model = http.get("/v2/models/tiny/versions/1").document
    assert (model["name"], model["versions"]) == ("tiny", ["1", "2"])
    assert model["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 4]}]
    assert [output["name"] for output in model["outputs"]][:3] == ["label", "class_index", "probabilities"]
    assert http.get("/v2/models/tiny/ready").document == {"name": "tiny", "ready": True}
    assert http.get("/v2/models/tiny/versions/9/ready").status == 503
    index = http.post("/v2/repository/index", {"ready": True}).document
    assert [(entry["name"], entry["version"], entry["state"]) for entry in index] == [
        ("tiny", "1", "READY"), ("tiny", "2", "READY"),
    ]  # fmt: skip
    (counted,) = http.get("/v2/models/tiny/versions/1/stats").document["model_stats"]
    before = counted["inference_count"]
    assert http.infer(in_json(ROWS), "/v2/models/tiny/versions/1/infer").status == 200
    (counted,) = http.get("/v2/models/tiny/versions/1/stats").document["model_stats"]
    assert counted["inference_count"] == before + 2
    assert len(http.get("/v2/models/stats").document["model_stats"]) == 2


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\n\r\n",
        b"GET /v2 HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"\x16\x03\x01" + bytes(100),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=lambda value: repr(value[:40]),
)
def test_what_is_not_http(http_server: Running, request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert http_server.server is not None
    answer = sent(http_server.server.http_port or 0, request_)
    assert status_of(answer) in {400, 501, 505}
    assert not caplog.records


def test_every_status_of_the_table(tiny_models: Path, run_server: RunServer, tmp_path: Path, stack: TinyStack) -> None:
    with (
        run_server(tiny_models, http_port=0, max_queue_rows=1, max_concurrent_rpcs=2) as running,
        asking(running) as http,
        asking(running) as first,
        asking(running) as second,
    ):
        with holding(running, "tiny") as held:
            first.connection.request("POST", INFER, json.dumps(in_json(ROWS[:1])))
            held.wait()
            late = http.infer(in_json(ROWS[:1], parameters={"timeout": 1000}))
            assert (late.status, late.document["code"]) == (504, "DEADLINE_EXCEEDED")
            second.connection.request("POST", INFER, json.dumps(in_json(ROWS[:1])))
            batcher: Batcher = running.server.engine.batcher  # type: ignore[union-attr]
            while batcher.waiting_rows < 1:
                pass
            full = http.infer(in_json(ROWS[:1]))
            assert (full.status, full.document["code"]) == (429, "RESOURCE_EXHAUSTED")
            assert full.headers["retry-after"].isdigit()
            assert full.document["retry_after"] > 0
        for waiting in (first, second):
            assert waiting.connection.getresponse().status == 200

        async def break_it() -> None:
            async def broken(*_: object) -> None:
                raise RuntimeError("inside")

            running.server.engine.predict = broken  # type: ignore[union-attr]

        on_loop(running, break_it())
        broken = http.infer(in_json(ROWS))
        assert (broken.status, broken.document["code"]) == (500, "INTERNAL")
        assert "inside" not in broken.body.decode()
        assert "the server's log says more under this id" in broken.document["error"]
    folder = tmp_path / "closed"
    write_tiny(folder, "tiny", stack)
    with run_server(folder, http_port=0, management="closed") as running, asking(running) as http:
        answer = http.post("/v2/repository/models/tiny/load")
        assert (answer.status, answer.document["code"]) == (403, "PERMISSION_DENIED")
