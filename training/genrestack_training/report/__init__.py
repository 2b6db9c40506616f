"""Reports: one HTML page a run, or one that compares two, that need nothing from anywhere else."""
