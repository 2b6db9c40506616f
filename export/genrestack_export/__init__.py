"""Fitted stack to bundle: exact ONNX graphs, with a parity check against the original."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genrestack_export.errors import ExportError, ParityError, UnsupportedEstimator
    from genrestack_export.exporter import export_stack
    from genrestack_export.parity_rows import Float32Warning
    from genrestack_export.single_file import write_onnx

# Public name → module; scikit-learn and onnxruntime are imported when a name that needs them is first asked for.
_HOME = {
    "ExportError": "errors",
    "Float32Warning": "parity_rows",
    "ParityError": "errors",
    "UnsupportedEstimator": "errors",
    "export_stack": "exporter",
    "write_onnx": "single_file",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


__all__ = ["ExportError", "Float32Warning", "ParityError", "UnsupportedEstimator", "export_stack", "write_onnx"]
