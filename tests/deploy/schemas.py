"""Schemas of the kinds that are not part of Kubernetes itself, written down here for the fields that ours use.

They say what the kinds' own documentation says of these fields, and allow no others: a field that is new in `deploy/`
is to be looked up and added. The published schemas are asked by the tests marked `long`.
"""

from typing import Any

Schema = dict[str, Any]


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": False,
    }


_TEXT: Schema = {"type": "string", "minLength": 1}
_TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
_DURATION: Schema = {"type": "string", "pattern": r"^[0-9]+(ms|[smhdwy])$"}
_PROTOCOLS: Schema = {"enum": ["v1", "v2", "grpc-v1", "grpc-v2"]}


def _metadata(*optional: str) -> Schema:
    return _object({"name": _TEXT}, dict.fromkeys(optional, _TEXTS) | {"namespace": _TEXT})


SERVICE_MONITOR = _object(
    {
        "apiVersion": {"const": "monitoring.coreos.com/v1"},
        "kind": {"const": "ServiceMonitor"},
        "metadata": _metadata("labels"),
        "spec": _object(
            {
                "selector": _object({"matchLabels": _TEXTS}),
                "endpoints": {
                    "type": "array",
                    "minItems": 1,
                    "items": _object(
                        {"port": _TEXT}, {"path": _TEXT, "interval": _DURATION, "scrapeTimeout": _DURATION}
                    ),
                },
            }
        ),
    }
)

SERVING_RUNTIME = _object(
    {
        "apiVersion": {"const": "serving.kserve.io/v1alpha1"},
        "kind": {"const": "ClusterServingRuntime"},
        "metadata": _metadata(),
        "spec": _object(
            {
                "supportedModelFormats": {
                    "type": "array",
                    "minItems": 1,
                    "items": _object({"name": _TEXT}, {"version": _TEXT, "autoSelect": {"type": "boolean"}}),
                },
                "protocolVersions": {"type": "array", "minItems": 1, "items": _PROTOCOLS},
                # Kubernetes' own containers: a test puts them into a pod and asks the schema of that.
                "containers": {"type": "array", "minItems": 1},
            },
            {"annotations": _TEXTS},
        ),
    }
)

INFERENCE_SERVICE = _object(
    {
        "apiVersion": {"const": "serving.kserve.io/v1beta1"},
        "kind": {"const": "InferenceService"},
        "metadata": _metadata("annotations"),
        "spec": _object(
            {
                "predictor": _object(
                    {
                        "model": _object(
                            {"modelFormat": _object({"name": _TEXT}, {"version": _TEXT})},
                            {
                                "protocolVersion": _PROTOCOLS,
                                "runtime": _TEXT,
                                "storageUri": {"type": "string", "pattern": "^pvc://[a-z0-9-]+/"},
                            },
                        ),
                    },
                    {
                        "minReplicas": {"type": "integer", "minimum": 0},
                        "maxReplicas": {"type": "integer", "minimum": 1},
                    },
                )
            }
        ),
    }
)

CUSTOM: dict[str, Schema] = {
    "ServiceMonitor": SERVICE_MONITOR,
    "ClusterServingRuntime": SERVING_RUNTIME,
    "InferenceService": INFERENCE_SERVICE,
}
