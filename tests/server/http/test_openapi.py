"""The description and what is served agree; requests made from it get what it says, and never a 500."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from server.bundles.tiny import draw_rows
from server.http.asking import LENGTH, Answer, Http, asking, in_json
from server.running.live import Running

from genrestack_server.http.documentation.openapi import OPENAPI

SCHEMAS = OPENAPI["components"]["schemas"]
METHODS = {"get", "post"}
OPERATIONS = {
    (method, path): operation for path, methods in OPENAPI["paths"].items() for method, operation in methods.items()
}


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that stands alone."""
    return {**schema, "components": OPENAPI["components"]}


def declared(operation: dict[str, Any], status: int) -> dict[str, Any]:
    responses = operation["responses"]
    response: dict[str, Any] = responses.get(str(status), responses["default"])
    return response


def check(operation: dict[str, Any], answer: Answer) -> None:
    """Hold an answer against what an operation declares."""
    assert answer.status != 500, answer.body
    kind = answer.headers["content-type"]
    assert kind in declared(operation, answer.status)["content"]
    schema = declared(operation, answer.status)["content"]["application/json"]["schema"]
    Draft202012Validator(resolved(schema)).validate(answer.document)
    assert (kind == "application/octet-stream") == (LENGTH.lower() in answer.headers)


def test_the_document_is_in_form(http: Http) -> None:
    document = http.get("/v2/openapi.json").document
    assert document == OPENAPI
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert {"title", "version"} <= document["info"].keys()
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(names) == len(set(names))
    for (method, path), operation in OPERATIONS.items():
        assert method in METHODS
        parameters = operation.get("parameters", [])
        in_path = [parameter["name"] for parameter in parameters if parameter["in"] == "path"]
        assert in_path == re.findall(r"\{(\w+)\}", path)
        assert all(parameter["required"] for parameter in parameters if parameter["in"] == "path")
        assert {"200", "default"} <= operation["responses"].keys()
        assert all(response["description"] for response in operation["responses"].values())


def test_every_reference_leads_somewhere() -> None:
    for reference in references(OPENAPI):
        assert reference.removeprefix("#/components/schemas/") in SCHEMAS


def references(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        if "$ref" in document:
            yield document["$ref"]
        for value in document.values():
            yield from references(value)
    elif isinstance(document, list):
        for value in document:
            yield from references(value)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_is_served(http: Http, method: str, path: str) -> None:
    operation = OPERATIONS[method, path]
    document = in_json(draw_rows(2)) if path.endswith("/infer") else None
    answer = http.ask(method.upper(), filled(path), None if document is None else json.dumps(document))
    check(operation, answer)
    assert answer.status == (409 if "repository/models" in path else 200)
    for other in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - {method.upper()}:
        assert http.ask(other, filled(path)).status == 405


def filled(path: str, model: str = "tiny", version: str = "1") -> str:
    return path.replace("{model}", model).replace("{version}", version)


def test_the_page_shows_everything_and_fetches_nothing(http: Http) -> None:
    answer = http.get("/docs")
    text = answer.body.decode()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    for method, path in OPERATIONS:
        assert f"{method.upper()} {path}" in text
    assert Links.of(text) == ["/v2/openapi.json"]
    assert "@import" not in text
    assert "url(" not in text


class Links(HTMLParser):
    """Everything in a page that leads away from it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    @classmethod
    def of(cls, text: str) -> list[str]:
        reader = cls()
        reader.feed(text)
        return reader.found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "link", "img", "iframe", "object"}
        self.found += [value or "" for name, value in attrs if name in {"href", "src", "action", "data"}]


RARELY = st.integers(0, 9).map(lambda luck: luck < 9)
"""Whether to do as usual: nine times in ten."""
OFTEN = st.integers(0, 2).map(lambda luck: luck < 2)
HEADERS = ["x-request-id", "genrestack-priority", "traceparent", "accept"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def of_schema(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Draw what a schema allows, and now and then something else."""
    if "$ref" in schema:
        return of_schema(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    return st.integers(0, 40).flatmap(lambda luck: _of_schema(schema) if luck < 40 else ANYTHING)


def _of_schema(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of(*(of_schema(one) for one in schema["anyOf"]))
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of(*(_of_type(kind, schema) for kind in kinds))


def _of_type(kind: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind == "object":
        required = set(schema.get("required", ()))
        fields = {name: of_schema(one) for name, one in schema.get("properties", {}).items()}
        known = st.fixed_dictionaries(
            {name: one for name, one in fields.items() if name in required},
            optional={name: one for name, one in fields.items() if name not in required},
        )
        more = schema.get("additionalProperties")
        if more is None:
            return known
        return st.tuples(known, st.dictionaries(st.text(), of_schema(more), max_size=3)).map(
            lambda two: two[1] | two[0]
        )
    if kind == "array":
        items = of_schema(schema.get("items", {"type": "number"}))
        return st.lists(items, min_size=schema.get("minItems", 0), max_size=schema.get("maxItems", 9))
    simple: dict[str, st.SearchStrategy[Any]] = {
        "string": st.text() | st.sampled_from(["label", "probabilities", "class_index"]),
        "boolean": st.booleans(),
        "integer": st.integers(schema.get("minimum"), None) | st.integers(0, 4),
        "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.floats(-3, 3),
    }
    return simple[kind]


@st.composite
def requests(draw: st.DrawFn) -> tuple[tuple[str, str], str, bytes | None, dict[str, str]]:
    """An operation, its path, a body and headers; often ones that are answered."""
    method, path = draw(st.sampled_from([*OPERATIONS, *[("post", "/v2/models/{model}/infer")] * len(OPERATIONS)]))
    model = draw(st.sampled_from([*["tiny"] * 9, "nothing", "%00", "%ff", "..%2f", "a" * 300]))
    version = draw(st.sampled_from(["1", "2", "3", "0", "-1", "x", "9" * 30]))
    taken = OPERATIONS[method, path].get("requestBody")
    headers: dict[str, str] = {}
    body = None
    if taken is not None and draw(RARELY):
        document = draw(of_schema(taken["content"]["application/json"]["schema"]))
        if path.endswith("/infer") and draw(OFTEN) and isinstance(document, dict):
            document |= {"inputs": in_json(draw_rows(draw(st.integers(1, 3))))["inputs"]}
        body = json.dumps(document).encode()
        if not draw(RARELY):
            headers[LENGTH] = str(draw(st.integers(0, len(body) + 9)))
            body += draw(st.binary(max_size=64))
        if not draw(RARELY):
            body = draw(st.binary(max_size=64))
    if not draw(RARELY):
        headers |= draw(st.dictionaries(st.sampled_from(HEADERS), st.text("abc\xff ;=", max_size=9), max_size=2))
    return (method, path), filled(path, model, version), body, {name: value.strip() for name, value in headers.items()}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=requests())
def test_whatever_is_asked_is_answered_as_declared(http_server: Running, asked: Any) -> None:
    key, path, body, headers = asked
    with asking(http_server) as http:
        http.connection.request(key[0].upper(), path, body, headers)
        response = http.connection.getresponse()
        answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    if answer.status == 404 and "models" in path and answer.document["code"] == "NOT_FOUND" and "%2f" in path:
        return
    check(OPERATIONS[key], answer)
