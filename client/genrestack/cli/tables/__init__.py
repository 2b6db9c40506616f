"""Tables of features as streams of rows, and their columns matched with a model's features."""
