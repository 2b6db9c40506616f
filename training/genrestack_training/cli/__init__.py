"""The commands `genrestack train`, `export` and `report`."""
