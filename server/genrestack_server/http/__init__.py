"""The Open Inference Protocol over HTTP: JSON and Triton's binary tensors, translated to the messages of gRPC."""
