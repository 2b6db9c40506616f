"""A page in the browser to drop songs on: their features are computed here, their genres asked of a server."""
