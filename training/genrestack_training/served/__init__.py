"""A served model, evaluated: on a labelled collection, and against the stack it was exported from."""
