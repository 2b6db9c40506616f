"""The search for the preset `best`, and the looks at its outer folds; see docs/preset-best.md."""
