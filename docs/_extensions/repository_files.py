"""Links from pages to the repository's own files.

A link to a file beside the pages (a report, a schema) leads to a copy of it. One to a file elsewhere in the
repository leads to a page that shows it, one to a folder to a page that lists its files. A link to nothing is a
warning, which ends the build.
"""

import html
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from docutils import nodes
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.environment import BuildEnvironment
from sphinx.util.osutil import relative_uri

SHOWN_UNDER = "files"
# Before Sphinx collects downloads, at 500.
EARLY = 100
Page = tuple[str, dict[str, Any], str]
Linked = dict[str, set[Path]]


def setup(app: Sphinx) -> dict[str, Any]:
    """Take part in a build."""
    app.connect("env-purge-doc", forget)
    app.connect("doctree-read", lead_links, EARLY)
    app.connect("html-collect-pages", show_files)
    app.connect("build-finished", copy_files)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}


def linked(env: BuildEnvironment) -> Linked:
    """Return the files that pages link to, by page; kept between builds."""
    found: Linked = env.__dict__.setdefault("repository_files", {})
    return found


def forget(_: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget a page that is read again."""
    linked(env).pop(docname, None)


def lead_links(app: Sphinx, document: nodes.document) -> None:
    """Turn links to files and folders into links to what the site has of them."""
    docs = Path(app.srcdir).resolve()
    docname = app.env.docname
    for link in list(document.findall(_names_a_path)):
        path = (docs / docname).parent.joinpath(unquote(link["reftarget"])).resolve()
        if link["refdomain"] == "doc":
            path = path.with_name(path.name + ".md")
        if link["reftarget"] in app.env.found_docs or not (path.is_relative_to(docs.parent) and path.exists()):
            continue
        linked(app.env).setdefault(docname, set()).add(path)
        uri = relative_uri(app.builder.get_target_uri(docname), _target(path, docs))
        link.replace_self(nodes.reference("", "", *link.children, refuri=uri, internal=True))


def _names_a_path(node: nodes.Node) -> bool:
    kinds = (addnodes.download_reference, addnodes.pending_xref)
    return isinstance(node, kinds) and node.get("reftype") == "myst" and node.get("refdomain") in {None, "doc"}


def _target(path: Path, docs: Path) -> str:
    if path.is_file() and path.is_relative_to(docs):
        return path.relative_to(docs).as_posix()
    return _page(path, docs.parent) + ".html"


def _page(path: Path, root: Path) -> str:
    return f"{SHOWN_UNDER}/{path.relative_to(root).as_posix()}"


def _all_linked(app: Sphinx) -> set[Path]:
    return set().union(*linked(app.env).values())


def show_files(app: Sphinx) -> Iterator[Page]:
    """Return a page for every file and folder outside of the documentation."""
    docs = Path(app.srcdir).resolve()
    outside = {path for path in _all_linked(app) if path.is_dir() or not path.is_relative_to(docs)}
    folders = {path for path in outside if path.is_dir()}
    files = (outside - folders).union(*map(_files_in, folders))
    for folder in sorted(folders):
        readme = folder / "README.md"
        yield _as_page(folder, docs.parent, _list(folder) + (_highlight(app, readme) if readme.exists() else ""))
    for file in sorted(files):
        yield _as_page(file, docs.parent, _highlight(app, file))


def _files_in(folder: Path) -> list[Path]:
    hidden = (".", "__pycache__")
    inside = (path for path in folder.rglob("*") if path.is_file() and _is_text(path))
    return sorted(p for p in inside if not any(part.startswith(hidden) for part in p.relative_to(folder).parts))


def _is_text(file: Path) -> bool:
    try:
        file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _as_page(path: Path, root: Path, body: str) -> Page:
    title = path.relative_to(root).as_posix()
    heading = html.escape(title).replace("/", "/<wbr>")
    return _page(path, root), {"title": title, "body": f'<h1 class="file">{heading}</h1>\n{body}'}, "page.html"


def _list(folder: Path) -> str:
    names = [file.relative_to(folder).as_posix() for file in _files_in(folder)]
    items = (f'<li><a href="{folder.name}/{html.escape(name)}.html">{html.escape(name)}</a></li>' for name in names)
    return f"<ul>{''.join(items)}</ul>"


def _highlight(app: Sphinx, file: Path) -> str:
    try:
        language = get_lexer_for_filename(file.name).aliases[0]
    except ClassNotFound:
        language = "text"
    code = file.read_text(encoding="utf-8")
    highlighter = cast(StandaloneHTMLBuilder, app.builder).highlighter
    shown = highlighter.highlight_block(code, language, location=file.name)
    return f'<div class="highlight-{language}">{shown}</div>'


def copy_files(app: Sphinx, error: Exception | None) -> None:
    """Copy what pages link to beside them."""
    docs = Path(app.srcdir).resolve()
    for file in () if error else _all_linked(app):
        if file.is_file() and file.is_relative_to(docs):
            target = Path(app.outdir) / file.relative_to(docs)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
