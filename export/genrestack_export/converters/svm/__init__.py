"""Support vector machines as graphs: decisions, pairs of classes, probabilities."""
