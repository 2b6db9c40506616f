"""The messages of the Open Inference Protocol as JSON and binary tensors."""
