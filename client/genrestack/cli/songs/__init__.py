"""`genrestack predict` of recordings: text, table, JSON and pictures."""
