"""`genrestack demo`."""
