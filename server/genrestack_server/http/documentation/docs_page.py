"""A page that shows the paths to people; it fetches nothing."""

import base64
import hashlib
from html import escape
from typing import Any, Final

from genrestack_server.http.documentation.openapi import OPENAPI
from genrestack_server.http.exchange import Response

_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8886; }
pre { overflow-x: auto; padding: .8rem; border: 1px solid #8886; }
code, pre { font: .9rem/1.4 ui-monospace, monospace; }
"""
_EXAMPLE: Final = """curl -s http://HOST:PORT/v2/models/MODEL

curl -s http://HOST:PORT/v2/models/MODEL/infer --json '{
  "inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [0.1, 0.2, 0.3, 0.4]}]
}'"""


def docs_page() -> Response:
    """Return the page."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'"
    return Response(200, [_page().encode()], "text/html; charset=utf-8", {"content-security-policy": policy})


def _page() -> str:
    info = OPENAPI["info"]
    rows = "\n".join(
        _row(path, method, operation)
        for path, methods in OPENAPI["paths"].items()
        for method, operation in methods.items()
    )
    schemas = "\n".join(
        f"<li><code>{escape(name)}</code>: {_fields(schema)}</li>"
        for name, schema in OPENAPI["components"]["schemas"].items()
    )
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("Request", "Does", "Takes", "Answers"))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{escape(info["title"])} {escape(info["version"])}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(info["title"])} {escape(info["version"])}</h1>
<p>{escape(info["summary"])} {escape(info["description"])}</p>
<p>For programs: <a href="/v2/openapi.json">/v2/openapi.json</a>.</p>
<h2>Ask</h2>
<pre>{escape(_EXAMPLE)}</pre>
<h2>Paths</h2>
<table>
<thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
<h2>Documents</h2>
<ul>
{schemas}
</ul>
</body>
</html>
"""


def _row(path: str, method: str, operation: dict[str, Any]) -> str:
    cells = (
        f"<code>{method.upper()} {escape(path)}</code>",
        escape(operation["summary"]),
        _schema(operation.get("requestBody")),
        _schema(operation["responses"]["200"]),
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _schema(holder: dict[str, Any] | None) -> str:
    if holder is None:
        return ""
    name = holder["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    return f"<code>{escape(name)}</code>"


def _fields(schema: dict[str, Any]) -> str:
    schema = schema.get("items", schema)
    names = (f"<code>{escape(name)}</code>" for name in schema.get("properties", {}))
    return ", ".join(names) or "an empty object"
