"""How quick the exported stack is, against named baselines measured in the same run: `python -m benchmarks`."""
