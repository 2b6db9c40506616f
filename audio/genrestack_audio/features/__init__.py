"""From one piece of sound to its 57 features."""
