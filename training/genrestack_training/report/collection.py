"""The page of `genrestack evaluate`, and what it prints: a served model on a collection."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from genrestack_training.report.console import class_table, model_table
from genrestack_training.report.page import Exhibit, Grid, Page, Section, Tile, render_page
from genrestack_training.report.results import collection_tiles, evaluation_sections
from genrestack_training.report.shift import shift_section, shift_sentences
from genrestack_training.report.text import clean, describe_intervals, points, share
from genrestack_training.served.against import OriginalComparison
from genrestack_training.served.collection import CollectionEvaluation


def collection_html(found: CollectionEvaluation) -> str:
    """Render the evaluation of a collection as one self-contained HTML page."""
    tiles = [*collection_tiles(found.evaluation)]
    if found.shift.outside is not None:
        tiles.append(Tile("Rows out of range", share(found.shift.outside), note="a feature beyond the training rows'"))
    sections = [shift_section(found), *evaluation_sections([found.evaluation])]
    if found.original is not None:
        sections.insert(0, _original_section(found.original))
    page = Page(
        title=f"{found.name} by {found.model}",
        kind="Evaluation of a collection",
        subtitle=f"{found.model}, exported {found.model.created}",
        tiles=tuple(tiles),
        lead=(*_leads(found), *shift_sentences(found)),
        notes=found.notes,
        sections=(*sections, _provenance(found)),
    )
    return render_page(page)


def render_collection(found: CollectionEvaluation) -> RenderableType:
    """Return the same as tables and sentences for a terminal."""
    e = found.evaluation
    songs = "" if e.songs is None else f" of {e.songs} recordings"
    return Group(
        Text(f"{e.rows} rows{songs}, answered by {found.model}", style="bold"),
        Padding(model_table(e), (1, 0)),
        Text("Each class, by the whole stack", style="bold"),
        class_table(e),
        *(Text(line) for line in (*_leads(found), *shift_sentences(found), describe_intervals(e))),
        *([] if found.original is None else [Text(line) for line in original_sentences(found.original)]),
    )


def _leads(found: CollectionEvaluation) -> Iterator[str]:
    e = found.evaluation
    songs = "" if e.song_accuracy is None or e.songs == e.rows else f", and on {share(e.song_accuracy)} of recordings"
    measured = f" Training measured {found.model.accuracy}." if found.model.accuracy else ""
    yield f"{found.model} is right on {share(e.accuracy)} of the rows{songs}.{measured}"
    yield e.meaning.partition(". ")[2]
    yield _calibration(found)


def _calibration(found: CollectionEvaluation) -> str:
    accuracy, sure = found.evaluation.models["stack"].rows["accuracy"], _confidence(found)
    said = f"Its mean confidence is {share(sure)}, {points(sure - accuracy.value)} points off the accuracy"
    if accuracy.lower is None or accuracy.upper is None:
        return f"{said}."
    if accuracy.lower <= sure <= accuracy.upper:
        return f"{said} and within its interval: not shown to be too sure or too modest."
    return f"{said} and outside its interval: it is too {'sure' if sure > accuracy.value else 'modest'} here."


def _confidence(found: CollectionEvaluation) -> float:
    bins = found.evaluation.models["stack"].reliability
    return sum(b.rows * (b.confidence or 0.0) for b in bins) / max(1, found.evaluation.rows)


def original_sentences(original: OriginalComparison) -> Iterator[str]:
    """Yield how the served model compares with the stack before its export."""
    if original.differing:
        e = original.examples[0]
        yield (
            f"{original.differing} of {original.rows} labels differ from those of {original.file}; the first in data "
            f"row {e.row}: {e.served!r} is served, {e.original!r} is its own, by {e.margin:.1e}."
        )
        yield (
            f"Of these, {original.rounded} differ no more once {original.file} gets the rows as they travel, rounded "
            "to float32: there the original itself answers two ways."
            + ("" if original.rounded == original.differing else " The others are wrong: export the stack again.")
        )
    else:
        yield f"All {original.rows} labels are those of {original.file}."
    yield f"No probability differs by more than {original.largest:.1e}."
    yield (
        f"{original.file} took {original.original_seconds:.2f} s for its answers alone, the served model "
        f"{original.served_seconds:.2f} s with those of each base model: "
        f"{original.rows / max(original.original_seconds, 1e-9):,.0f} and "
        f"{original.rows / max(original.served_seconds, 1e-9):,.0f} rows a second."
    )


def _original_section(original: OriginalComparison) -> Section:
    parts = [("Whole stack", f"{original.largest:.1e}")]
    parts += [(clean(name), f"{value:.1e}") for name, value in original.parts.items()]
    exhibits = [Exhibit(grid=Grid("On the same rows", ("Part", "Largest difference of a probability"), tuple(parts)))]
    if original.examples:
        rows = tuple((str(e.row), clean(e.served), clean(e.original), f"{e.margin:.1e}") for e in original.examples)
        head = ("Data row", "Served", "Before the export", "Margin of the latter")
        exhibits.append(Exhibit(grid=Grid("The first labels that differ", head, rows, texts=3)))
    return Section(
        "original", "Beside the stack before its export", tuple(original_sentences(original)), tuple(exhibits)
    )


def _provenance(found: CollectionEvaluation) -> Section:
    rows = (
        ("Model", str(found.model)),
        ("Exported", found.model.created),
        ("Collection", found.name),
        ("SHA-256 of the table", found.sha256),
        ("Rows", str(found.evaluation.rows)),
        ("Features", str(len(found.model.feature_names))),
        ("Classes", ", ".join(found.model.classes)),
        ("Time to answer", f"{found.seconds:.2f} s"),
    )
    grid = Grid("The evaluation", ("What", "Value"), rows, texts=2)
    return Section("provenance", "Provenance", (), (Exhibit(grid=grid),))
