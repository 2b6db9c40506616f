"""The Open Inference Protocol's messages, to and from rows and answers."""
