"""What the paths take and answer, as OpenAPI 3.1 has it."""

from importlib.metadata import version
from typing import Any, Final

from genrestack_server.http.errors import STATUSES, TOO_LARGE, UNSUPPORTED
from genrestack_server.http.exchange import JSON

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_FLAG: Final[Schema] = {"type": "boolean"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_BYTES: Final = "application/octet-stream"
_LENGTH_HEADER: Final = "Inference-Header-Content-Length"


def _object(required: str = "", **properties: Schema) -> Schema:
    found: Schema = {"type": "object", "properties": properties}
    return found | {"required": required.split()} if required else found


def _list(items: Schema, **bounds: int) -> Schema:
    return {"type": "array", "items": items, **bounds}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _said(schema: Schema, text: str) -> Schema:
    return {**schema, "description": text}


_PARAMETERS: Final = _said(
    {"type": "object", "additionalProperties": {"type": ["boolean", "number", "string"]}},
    "`priority` (1 high, 2 normal) and `timeout` (microseconds) are obeyed; what would change the answer is refused.",
)
_SHAPE: Final = _list({"type": "integer", "minimum": -1})
_SCHEMAS: Final[dict[str, Schema]] = {
    "Error": _object(
        "error code",
        error=_said(_TEXT, "What is wrong, where, and what to do."),
        code=_said({"type": "string", "enum": [code.name for code in STATUSES]}, "What gRPC calls the status."),
        request_id=_said(_TEXT, "The caller's `x-request-id`, or one made here; the server's log has it."),
        violations=_list(_object("field description", field=_TEXT, description=_TEXT)),
        retry_after=_said({"type": "number"}, "Seconds after which there is likely to be room."),
    ),
    "Live": _object("live", live=_FLAG),
    "Ready": _object("ready", ready=_FLAG),
    "ModelReady": _object("name ready", name=_TEXT, ready=_FLAG),
    "Server": _object("name version extensions", name=_TEXT, version=_TEXT, extensions=_list(_TEXT)),
    "Model": _object(
        "name versions platform inputs outputs",
        name=_TEXT,
        versions=_list(_TEXT),
        platform=_TEXT,
        inputs=_list(_ref("TensorMetadata")),
        outputs=_list(_ref("TensorMetadata")),
    ),
    "TensorMetadata": _object("name datatype shape", name=_TEXT, datatype=_TEXT, shape=_SHAPE),
    "Statistics": _object("model_stats", model_stats=_list({"type": "object"})),
    "IndexRequest": _object(ready=_said(_FLAG, "List only what is ready.")),
    "Index": _list(_object("name version state reason", name=_TEXT, version=_TEXT, state=_TEXT, reason=_TEXT)),
    "LoadRequest": _object(
        parameters={"type": "object", "additionalProperties": {"type": ["boolean", "integer", "string"]}}
    ),
    "Nothing": {"type": "object", "maxProperties": 0},
    "InferRequest": _object(
        "inputs",
        id=_said(_TEXT, "Goes back, and into the log."),
        parameters={**_PARAMETERS, "properties": {"binary_data_output": _FLAG}},
        inputs=_list(_ref("Input"), minItems=1, maxItems=1),
        outputs=_said(_list(_ref("Output")), "None: label, class_index and probabilities."),
    ),
    "Input": _object(
        "name datatype shape",
        name=_said({"const": "features"}, "The one input of every model."),
        datatype={"enum": ["FP32", "FP64"]},
        shape=_said(_list(_COUNT, minItems=2, maxItems=2), "Rows and columns."),
        parameters={**_PARAMETERS, "properties": {"binary_data_size": _COUNT}},
        data=_said(
            {"anyOf": [_list({"type": "number"}), _list(_list({"type": "number"}))]},
            "The values, row after row, flat or a list for each row; left out where they follow as bytes.",
        ),
    ),
    "Output": _object("name", name=_TEXT, parameters={**_PARAMETERS, "properties": {"binary_data": _FLAG}}),
    "InferResponse": _object(
        "model_name model_version outputs",
        model_name=_TEXT,
        model_version=_TEXT,
        id=_TEXT,
        outputs=_list(
            _object(
                "name datatype shape",
                name=_TEXT,
                datatype={"enum": ["BYTES", "INT64", "FP32", "FP64"]},
                shape=_list(_COUNT),
                data={"type": "array"},
                parameters=_object(binary_data_size=_COUNT),
            )
        ),
    ),
}


def _answer(schema: str, text: str) -> dict[str, Any]:
    return {"description": text, "content": {JSON: {"schema": _ref(schema)}}}


def _operation(
    name: str,
    text: str,
    schema: str,
    *,
    takes: str = "",
    path: str = "",
    open_to_all: bool = False,
    ready: bool = False,
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": text,
        "responses": {"200": _answer(schema, text), "default": _answer("Error", "Not answered: why, and what to do.")},
    }
    if ready:
        operation["responses"]["503"] = _answer(schema, "Not now.")
    if path:
        operation["parameters"] = [
            {"name": each, "in": "path", "required": True, "schema": _TEXT} for each in path.split()
        ]
    if takes:
        operation["requestBody"] = {"content": {JSON: {"schema": _ref(takes)}}}
    if open_to_all:
        operation["security"] = []
    return operation


def _infer(path: str, suffix: str) -> dict[str, Any]:
    operation = _operation(f"ModelInfer{suffix}", "Answer rows.", "InferResponse", takes="InferRequest", path=path)
    operation["parameters"].append(
        {
            "name": _LENGTH_HEADER,
            "in": "header",
            "required": False,
            "schema": _COUNT,
            "description": "How many bytes of the body are JSON; the tensors' bytes follow them, little-endian.",
        }
    )
    operation["requestBody"]["required"] = True
    for holder in (operation["requestBody"], operation["responses"]["200"]):
        holder["content"][_BYTES] = {}
    return operation


def _of_model(path: str, names: str, suffix: str) -> dict[str, Any]:
    """Return the paths of a model, or of one of its versions."""
    ready = _operation(
        f"ModelReady{suffix}", "Tell whether it would be answered with.", "ModelReady", path=names, ready=True
    )
    statistics = _operation(
        f"ModelStatistics{suffix}", "Tell what was counted (a management call).", "Statistics", path=names
    )
    return {
        path: {"get": _operation(f"ModelMetadata{suffix}", "Describe it.", "Model", path=names)},
        f"{path}/ready": {"get": ready},
        f"{path}/infer": {"post": _infer(names, suffix)},
        f"{path}/stats": {"get": statistics},
    }


_PATHS: Final[dict[str, Any]] = {
    "/v2/health/live": {"get": _operation("ServerLive", "Answer.", "Live", open_to_all=True)},
    "/v2/health/ready": {
        "get": _operation(
            "ServerReady",
            "Tell whether models are served, and none is still loading.",
            "Ready",
            open_to_all=True,
            ready=True,
        )
    },
    "/v2": {"get": _operation("ServerMetadata", "Describe the server.", "Server")},
    **_of_model("/v2/models/{model}", "model", ""),
    **_of_model("/v2/models/{model}/versions/{version}", "model version", "OfVersion"),
    "/v2/models/stats": {
        "get": _operation(
            "ModelStatisticsOfAll", "Tell what was counted of all models (a management call).", "Statistics"
        )
    },
    "/v2/repository/index": {
        "post": _operation("RepositoryIndex", "List every version that is known.", "Index", takes="IndexRequest")
    },
    "/v2/repository/models/{model}/load": {
        "post": _operation(
            "RepositoryModelLoad", "Load it (a management call).", "Nothing", takes="LoadRequest", path="model"
        )
    },
    "/v2/repository/models/{model}/unload": {
        "post": _operation(
            "RepositoryModelUnload", "Unload it (a management call).", "Nothing", takes="LoadRequest", path="model"
        )
    },
}

OPENAPI: Final[dict[str, Any]] = {
    "openapi": "3.1.0",
    "info": {
        "title": "GenreStack",
        "version": version("genrestack"),
        "summary": "The Open Inference Protocol over HTTP.",
        "description": (
            "Names, outputs, limits, tokens and errors are those of the protocol over gRPC. Statuses: "
            + ", ".join(f"{number} {code.name}" for code, number in STATUSES.items())
            + f"; {TOO_LARGE} for what is too large, {UNSUPPORTED} for a body in an unknown encoding."
        ),
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    },
    "paths": _PATHS,
    "security": [{}, {"token": []}],
    "components": {
        "schemas": _SCHEMAS,
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer", "description": "Where the server has a token file."}
        },
    },
}
"""The whole document; the same for every server of this release."""
