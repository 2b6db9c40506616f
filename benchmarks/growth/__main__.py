"""`python -m benchmarks.growth fits` and `python -m benchmarks.growth requests`."""

import click

from benchmarks.growth.fits import fits
from benchmarks.growth.requests import requests

main = click.Group("growth", commands=[fits, requests], help="How work grows with what there is to do.")

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.growth")
