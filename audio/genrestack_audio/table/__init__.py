"""Folders of recordings to a table."""
