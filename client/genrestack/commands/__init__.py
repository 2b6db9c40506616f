"""Subcommands of `genrestack` that need nothing but the client."""
