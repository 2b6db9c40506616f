"""Ray clusters of two nodes, and what is asked of them."""
