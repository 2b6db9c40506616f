"""How answers and models are shown to people: figures in words, and pages in notebooks."""
