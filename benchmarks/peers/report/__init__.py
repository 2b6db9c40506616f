"""The comparison for people and for programs."""
