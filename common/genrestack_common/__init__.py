"""What several packages need and none owns: text, suggestions, settings, folders that appear whole, resources."""
