"""A bundle in onnxruntime: composed, on a provider that really runs, within time limits."""
