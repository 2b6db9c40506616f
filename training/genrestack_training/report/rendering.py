"""A page's parts as one HTML file that needs nothing from anywhere else."""

from functools import cache
from importlib.metadata import version
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from genrestack_training.report.parts import Page
from genrestack_training.report.text import clean


def render_page(page: Page) -> str:
    """Give the HTML of a page; every text on it is escaped."""
    style = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return _template().render(page=page, style=Markup(style), version=version("genrestack")) + "\n"  # noqa: S704 - ours


@cache
def _template() -> Template:
    loader = PackageLoader(__package__)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, finalize=_held)
    return environment.get_template("page.html")


def _held(value: object) -> object:
    """Take out of names from a table what HTML cannot hold."""
    return clean(value) if type(value) is str else value
