"""How Sphinx makes the site of these pages: `make docs`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "GenreStack"
author = "The GenreStack authors"
project_copyright = "The GenreStack authors, Apache-2.0"

extensions = ["myst_parser", "repository_files"]
exclude_patterns = ["_extensions", "examples", "search"]
# Headings can be linked to, as on any page that shows Markdown.
myst_heading_anchors = 5
highlight_language = "none"

html_theme = "furo"
html_title = "GenreStack"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/logo.svg"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "light_logo": "logo.svg",
    "dark_logo": "logo.svg",
    "top_of_page_buttons": [],
    "light_css_variables": {"color-brand-primary": "#0f5f94", "color-brand-content": "#0f5f94"},
    "dark_css_variables": {"color-brand-primary": "#7cc0f0", "color-brand-content": "#7cc0f0"},
}
