"""All contestants in turns, round by round, and what comes of it."""
