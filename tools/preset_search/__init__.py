"""The search for the preset `best`, and the one look at its outer folds; see docs/preset-best.md."""
