"""How the packages are built: modules and imports counted, and one call followed through them."""
