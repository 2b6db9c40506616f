"""Options of a server: what there is, and where their values come from."""
