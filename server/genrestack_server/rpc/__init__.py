"""gRPC: frames, metadata and status, nothing else."""
