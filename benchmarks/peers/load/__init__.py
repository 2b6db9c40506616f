"""Requests in each protocol, and who sends them."""
