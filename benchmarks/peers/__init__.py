"""GenreStack against what people serve such a stack with today: `python -m benchmarks.peers`."""
