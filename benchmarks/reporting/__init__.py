"""Figures, the machine they are of, and how they are written down."""
