"""A run: what one training made, in memory and on disk."""
