"""Serve a repository on a free port: `serving.py MODELS_DIR`."""

import sys

from genrestack_server.cli import serve

if __name__ == "__main__":
    serve([sys.argv[1], "--port", "0", "--threads", "1"])
