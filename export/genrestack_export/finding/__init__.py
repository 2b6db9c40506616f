"""What somebody pickled, taken apart: wrappers, containers, names of classes and columns."""
