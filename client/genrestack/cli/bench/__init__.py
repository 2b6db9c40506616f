"""`genrestack bench`."""
