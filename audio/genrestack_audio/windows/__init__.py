"""Recordings cut into windows, and the features of each."""
