"""The Open Inference Protocol: messages in a descriptor pool of their own.

Every client of the protocol brings a file of its own that defines package `inference`, and a pool takes only one of
them. Loaded apart, these messages live beside any such client in one process.
"""
