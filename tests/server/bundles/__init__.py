"""Bundles built by hand: small, held back, or hostile."""
