"""Hyperparameters: what there is, presets, and files that override them."""
