"""Things several folders of tests use."""
