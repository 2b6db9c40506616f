"""Folders of this user alone, and those that are not finished."""
