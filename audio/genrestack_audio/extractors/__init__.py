"""What computes a window's features: the 57 numbers, the outputs of a tagger, or both."""
