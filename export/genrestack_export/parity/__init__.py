"""Whether the graphs answer what the original answers: on which rows, and how close."""
