"""Reports: one HTML page a run, or two runs side by side, that need nothing from anywhere else."""
