"""Parts of a stack as single operators, compiled for the processor: the same answers as their graphs, sooner."""
