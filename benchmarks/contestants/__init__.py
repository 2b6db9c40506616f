"""What is compared, prepared once, each in a process of its own."""
