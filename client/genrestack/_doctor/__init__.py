"""What `genrestack doctor` looks at: each module finds out about one thing, and changes nothing."""
