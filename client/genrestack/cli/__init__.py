"""The command `genrestack`."""
