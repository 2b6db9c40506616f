"""Fitted stack to bundle: exact ONNX graphs, proven equal to the original."""

from genrestack_export.errors import ExportError, ParityError, UnsupportedEstimator
from genrestack_export.exporter import export_stack

__all__ = ["ExportError", "ParityError", "UnsupportedEstimator", "export_stack"]
