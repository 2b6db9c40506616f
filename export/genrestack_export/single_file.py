"""One ONNX file of a bundle; bundles know how to write it."""

from genrestack_bundle.single_file import write_onnx

__all__ = ["write_onnx"]
