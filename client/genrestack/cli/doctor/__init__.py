"""`genrestack doctor`."""
