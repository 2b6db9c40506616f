"""Where a client connects, and how: target, TLS, tokens, gRPC channel, or models in this process."""
