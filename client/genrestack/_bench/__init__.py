"""`genrestack bench`: load a running server by a plan, and say how long its answers took."""
