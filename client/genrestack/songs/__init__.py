"""Recordings to genres."""
