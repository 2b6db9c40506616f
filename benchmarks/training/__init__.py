"""What `benchmarks.fit` compares, each in a process of its own."""
