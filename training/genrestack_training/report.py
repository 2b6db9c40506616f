"""A run's report: one HTML page that needs nothing from anywhere else and reads in light and in dark."""

from collections.abc import Iterable, Mapping
from html import escape

from genrestack_training.figures import Evaluation
from genrestack_training.run import Run

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d5d5d5, #444); --soft: light-dark(#5f5f5f, #a5a5a5);
        --good: light-dark(#2b6cb0, #63b3ed); --bad: light-dark(#c05621, #f6ad55); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: light-dark(#1a1a1a, #ececec); background: light-dark(#fff, #161616); }
h1 { margin-bottom: 0; } h2 { margin-top: 2rem; font-size: 1.15rem; }
.headline { font-size: 2.6rem; font-weight: 600; margin: .5rem 0 0; } .soft { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; }
.confusion td:not(:first-child) { text-align: center; min-width: 2.2rem; }
code { overflow-wrap: anywhere; }
""".strip()


def report_html(run: Run) -> str:
    """Give the report as one self-contained HTML page."""
    figures = _no_figures() if run.evaluation is None else _figures(run.evaluation)
    notes = "".join(f"<p>{escape(line)}</p>\n" for line in run.provenance.warnings)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(run.name)}: training report</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n"
        f'<h1>{escape(run.name)}</h1>\n<p class="soft">Training report, {escape(run.provenance.created)}</p>\n'
        f"{figures[0]}<p>{escape(run.provenance.split_meaning)}</p>\n<p>{escape(run.contrast)}</p>\n{notes}{figures[1]}"
        f"<h2>Where it comes from</h2>\n{_table((), _provenance(run))}</body>\n</html>\n"
    )


def _no_figures() -> tuple[str, str]:
    return '<p class="headline">No figures</p>\n', ""


def _figures(evaluation: Evaluation) -> tuple[str, str]:
    """Give the headline and the tables."""
    headline = (
        f'<p class="headline">{evaluation.accuracy:.1%}</p>\n'
        f'<p class="soft">accuracy of the whole stack on {evaluation.rows} rows it had not seen</p>\n'
    )
    models = [("the whole stack", f"{evaluation.accuracy:.3f}")]
    models += [(f"{name} alone", f"{accuracy:.3f}") for name, accuracy in evaluation.base_accuracy.items()]
    classes = [
        (c.label, *(f"{f.value:.3f}" for f in (c.precision, c.recall, c.f1)), c.support) for c in evaluation.classes
    ]
    tables = (
        f"<h2>Stack and base models</h2>\n{_table(('model', 'accuracy'), models)}"
        f"<h2>Each class</h2>\n{_table(('class', 'precision', 'recall', 'F1', 'rows'), classes)}"
        '<h2>What was answered for what</h2>\n<p class="soft">One line for each true class; the columns are the '
        f"answers.</p>\n{_confusion(evaluation)}"
    )
    return headline, tables


def _confusion(evaluation: Evaluation) -> str:
    labels = [c.label for c in evaluation.classes]
    head = "".join(f'<th scope="col">{escape(label)}</th>' for label in labels)
    lines = []
    for i, (label, counts) in enumerate(zip(labels, evaluation.confusion, strict=True)):
        cells = "".join(_shaded(n, sum(counts), right=i == j) for j, n in enumerate(counts))
        lines.append(f'<tr><th scope="row">{escape(label)}</th>{cells}</tr>')
    body = "\n".join(lines)
    return f'<div class="wide"><table class="confusion">\n<tr><th>true class</th>{head}</tr>\n{body}\n</table></div>\n'


def _shaded(count: int, in_all: int, *, right: bool) -> str:
    """Give one cell, shaded by its share of the true class's rows."""
    share = round(100 * count / in_all) if in_all else 0
    colour = "var(--good)" if right else "var(--bad)"
    shade = f' style="background: color-mix(in srgb, {colour} {min(share, 60)}%, transparent)"' if share else ""
    return f"<td{shade}>{count or ''}</td>"


def _provenance(run: Run) -> list[tuple[str, str]]:
    facts, settings = run.provenance, run.settings
    sections: Mapping[str, object] = {"split": settings.split, "scaler": settings.scaler, "stack": settings.stack}
    sections = {**sections, **{name: getattr(settings, name) for name in (*settings.stack.estimators, "meta")}}
    return [
        ("table", facts.data_file),
        ("sha256 of the table", facts.data_sha256),
        ("rows", f"{facts.row_count}, of which {facts.fitted_rows} were fitted"),
        ("features", str(len(run.feature_names))),
        ("classes", ", ".join(run.classes)),
        ("preset", facts.preset),
        ("split", facts.split),
        ("seed", str(facts.seed)),
        ("time to fit", f"{facts.fit_seconds:.0f} s"),
        *((f"[{name}]", _settings_line(section)) for name, section in sections.items()),
        ("libraries", ", ".join(f"{name} {number}" for name, number in facts.library_versions.items())),
    ]


def _settings_line(section: object) -> str:
    return ", ".join(f"{key} = {list(v) if isinstance(v, tuple) else v}" for key, v in vars(section).items())


def _table(headings: Iterable[str], lines: Iterable[Iterable[object]]) -> str:
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in headings)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<div class="wide"><table>\n{f"<tr>{head}</tr>" if head else ""}\n{body}\n</table></div>\n'
