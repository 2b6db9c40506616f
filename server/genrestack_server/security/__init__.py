"""TLS and tokens."""
