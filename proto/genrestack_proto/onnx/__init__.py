"""The messages of ONNX, in a descriptor pool of their own.

The package `onnx` registers a file of its own that defines them, and a pool takes only one. Loaded apart, these live
beside it in one process, and without it the server needs nothing but protobuf to read and join graphs.
"""
