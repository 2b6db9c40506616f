"""Messages and service of `genrestack.v1`."""
