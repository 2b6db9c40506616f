"""The estimators of a stack, unfitted."""
