"""What `python -m benchmarks` measures, one module a question."""
