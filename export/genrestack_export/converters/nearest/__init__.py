"""Nearest neighbours as graphs: the classifier, the search by itself, novelty."""
