"""Fitted stack to bundle: exact ONNX graphs, with a parity check against the original."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genrestack_export.errors import ExportError, ParityError, UnsupportedEstimator
    from genrestack_export.exporter import export_stack
    from genrestack_export.gain import GainNormalizer
    from genrestack_export.model_exporter import export_model
    from genrestack_export.parity.rows import Float32Warning

# Public name → module; scikit-learn and onnxruntime are imported when a name that needs them is first asked for.
_HOME = {
    "ExportError": "errors",
    "Float32Warning": "parity.rows",
    "GainNormalizer": "gain",
    "ParityError": "errors",
    "UnsupportedEstimator": "errors",
    "export_model": "model_exporter",
    "export_stack": "exporter",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


__all__ = [
    "ExportError",
    "Float32Warning",
    "GainNormalizer",
    "ParityError",
    "UnsupportedEstimator",
    "export_model",
    "export_stack",
]
