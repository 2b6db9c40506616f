"""Every bad input we know of, given to the real command and the real port, and what is answered."""
