"""What callers have as rows, checked and converted to the matrix that a request carries."""
