"""Servers and callers as processes of their own."""
