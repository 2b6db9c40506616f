"""Which rows belong together: recordings, artists, and files that say so."""
