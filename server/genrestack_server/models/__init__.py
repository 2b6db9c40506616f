"""Which versions are served: found, loaded, verified, swapped."""
