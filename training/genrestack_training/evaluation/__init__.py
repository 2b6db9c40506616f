"""How good a fitted stack is: predictions, metrics, intervals, comparisons."""
