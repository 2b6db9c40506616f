"""Recordings on disk, read as mono blocks at 22,050 Hz."""
