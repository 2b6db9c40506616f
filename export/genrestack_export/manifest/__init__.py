"""What a manifest says beside the parts: features and their ranges, classes, provenance."""
