"""Write the matrix of what can be exported into docs/export.md, with each kind of tests/export/estimators/kinds.py.

python tools/export_matrix.py          # print it
python tools/export_matrix.py --write
"""

import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from genrestack_bundle import open_bundle
from genrestack_export import ExportError, ParityError, UnsupportedEstimator, export_stack
from genrestack_proto.v1.model_pb2 import Model
from tools.marked_page import MarkedPage

ROOT = Path(__file__).resolve().parent.parent
PAGE = MarkedPage(
    ROOT / "docs" / "export.md", "<!-- matrix: made by tools/export_matrix.py -->\n", "<!-- end of matrix -->"
)
_HEAD = "| {} | converters | computes in | largest difference, two classes | four classes |\n|---|---|---|---|---|\n"


def main() -> None:
    """Print the matrix, or put it into the page."""
    warnings.simplefilter("ignore")
    # The kinds are those of the tests.
    sys.path.append(str(ROOT / "tests"))
    if sys.argv[1:] == ["--write"]:
        PAGE.write(matrix())
    else:
        print(matrix())


def matrix() -> str:
    """Return a table of models and one of what stands in front of them."""
    from export.estimators.kinds import MODELS, TRANSFORMERS

    models = "".join(_row(name, "model") for name in MODELS)
    transformers = "".join(_row(name, "transformer") for name in TRANSFORMERS)
    return f"{_HEAD.format('model')}{models}\n{_HEAD.format('in front of a logistic regression')}{transformers}"


def _row(name: str, column: str) -> str:
    print(name, file=sys.stderr)
    found = [_export(name, column, classes) for classes in (2, 4)]
    models = [one for one in found if isinstance(one, Model)]
    converters = sorted({tool for model in models for part in model.parts for tool in part.converters})
    dtypes = sorted({part.dtype for model in models for part in model.parts})
    figures = [f"{one.parity.max_abs_difference:.1e}" if isinstance(one, Model) else one for one in found]
    return "| " + " | ".join([name, ", ".join(converters), ", ".join(dtypes), *figures]) + " |\n"


def _export(name: str, column: str, classes: int) -> Model | str:
    """Return the manifest of a bundle in precision double, or why there is none."""
    from export.estimators.kinds import MODELS, NAMES, TRANSFORMERS, draw_kind, logistic

    rows, labels = draw_kind(classes)
    made = (MODELS if column == "model" else TRANSFORMERS)[name]().fit(rows[:200], labels[:200])
    scaler: Any = None
    if column == "transformer":
        scaler, made = made, logistic().fit(made.transform(rows[:200]), labels[:200])
    with tempfile.TemporaryDirectory(prefix="genrestack-matrix-") as folder:
        try:
            path = export_stack(
                made, scaler, feature_names=NAMES, reference_rows=rows[200:], training_rows=rows[:200],
                models_dir=folder, name="kind", precision="double",
            )  # fmt: skip
        except (ExportError, ParityError, UnsupportedEstimator) as error:
            return f"refused: {error}"
        return open_bundle(path).model


if __name__ == "__main__":
    main()
