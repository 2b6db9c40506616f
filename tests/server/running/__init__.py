"""Servers to talk to, in process or as the real command."""
