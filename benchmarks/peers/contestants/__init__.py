"""Who takes part: environments, settings, and what runs in them."""
