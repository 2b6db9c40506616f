"""What stands in front of a model, as graphs."""
