"""ONNX graphs as messages: made, read, and checked before onnxruntime sees them."""
