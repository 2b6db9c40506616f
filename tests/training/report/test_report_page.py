"""The report of a run: what stands on it, and that it can be read anywhere by anybody."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from support.chromium import open_page, probe
from support.pages import SVG, check_page
from training.conftest import LIGHT, small_frame

from genrestack_proto.v1.model_pb2 import Parity
from genrestack_training import Run, load_table, train
from genrestack_training.cli.report import report
from genrestack_training.evaluation.results import ClassReport, Evaluation, Figure
from genrestack_training.report import charts
from genrestack_training.report.results import primary_evaluation
from genrestack_training.report.run_report import report_html
from genrestack_training.run.export_record import ExportRecord, read_export_record, write_export_record
from genrestack_training.run.run_record import RunRecord
from genrestack_training.run.storage import read_record

PARITY = Parity(rows=60, labels_agreed=60, ties=2, max_abs_difference=3.1e-6, tolerance=5e-4)
PARITY.parts.add(name="knn", max_abs_difference=2.7e-8, tolerance=5e-4)
EXPORTED = ExportRecord("tiny", "single", PARITY)
ODD = ("<b>bold</b>", 'quote" onload="x', "$x$ & co", "電子音楽", "bell\x07 \u202eright")


def labels_of(frame: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Take the classes of `small_frame` by other names."""
    known = sorted(set(frame["label"]))
    return frame.assign(label=frame["label"].map(dict(zip(known, names, strict=False))))


def test_everything_of_the_whole_stack_is_on_the_page(tiny_run: Run) -> None:
    page = report_html(RunRecord.from_run(tiny_run), EXPORTED)
    tree = check_page(page)
    sections = [section.attrib["id"] for section in tree.iter("section")]
    assert sections == [
        *("models", "worth", "confusion", "classes", "reliability", "confused", "weights", "curves", "features"),
        *("parity", "provenance"),
    ]
    alternatives = {svg.attrib["aria-label"].split(" ")[0] for svg in tree.iter(f"{SVG}svg")}
    assert {"Ablation,", "Confusion", "Bars", "Reliability", "Coefficients", "Learning"} <= alternatives
    evaluation = tiny_run.evaluation
    assert evaluation is not None
    figure = evaluation.models["stack"].rows["accuracy"]
    assert f"{100 * round(figure.value, 3):.1f} %" in page
    assert f"95 % interval {100 * round(figure.lower or 0, 3):.1f} to" in page
    assert tiny_run.provenance.split_meaning in page
    assert "3.1e−06" in page
    assert tiny_run.provenance.data_sha256 in page
    assert "röck &amp; roll" in page


def test_the_written_report_is_the_same_page(tiny_run: Run) -> None:
    assert tiny_run.path is not None
    assert (tiny_run.path / "report.html").read_text(encoding="utf-8") == report_html(read_record(tiny_run.path))


def test_tables_hold_the_numbers_of_the_charts(tiny_run: Run) -> None:
    evaluation = tiny_run.evaluation
    assert evaluation is not None
    tree = check_page(report_html(RunRecord.from_run(tiny_run)))
    (section,) = [s for s in tree.iter("section") if s.attrib["id"] == "confusion"]
    cells = [[int(td.text or 0) for td in row.iter("td")] for row in section.findall(".//tbody/tr")]
    assert cells == [list(row) for row in evaluation.confusion]
    (drawing,) = section.iter(f"{SVG}svg")
    drawn = [int(t.text) for t in drawing.iter(f"{SVG}text") if t.text and t.text.isdigit()]
    assert sum(drawn) == evaluation.rows


def test_the_honest_figure_comes_first(windowed_run: Run) -> None:
    page = report_html(RunRecord.from_run(windowed_run))
    tree = check_page(page)
    (tiles,) = [ul for ul in tree.iter("ul") if ul.attrib.get("class") == "tiles"]
    titles = [" ".join("".join(p.itertext()).split()) for li in tiles for p in list(li)[:1]]
    assert titles[:3] == [
        "Accuracy, held out by recording",
        "Accuracy, whole recordings",
        "Accuracy, held out at random",
    ]
    assert next(s.attrib["id"] for s in tree.iter("section")) == "splits"
    assert windowed_run.contrast
    assert windowed_run.contrast in page


def test_recordings_of_one_row_each_are_not_told_twice(windowed_run: Run) -> None:
    record = RunRecord.from_run(windowed_run)
    assert record.evaluation is not None
    single = replace(record.evaluation, songs=record.evaluation.rows)
    texts = "".join(check_page(report_html(replace(record, evaluation=single, comparisons=()))).itertext())
    assert "window by window" not in texts
    assert "Accuracy, whole recordings" not in texts


def test_the_foremost_evaluation_keeps_most_apart(windowed_run: Run) -> None:
    record = RunRecord.from_run(windowed_run)
    (by_track,) = record.comparisons
    by_artist = replace(by_track, split="artist", unit="artist")
    folds = replace(by_track, folds=5, fold_accuracy=(0.5,) * 5)

    def of(*comparisons: Evaluation, folds: Evaluation | None = None) -> Evaluation | None:
        return primary_evaluation(replace(record, comparisons=comparisons, cross_validation=folds))

    assert of() is record.evaluation
    assert of(by_artist, by_track) is by_artist
    assert of(by_track, folds=folds) is folds
    assert of(by_artist, folds=folds) is by_artist
    tree = check_page(report_html(replace(record, comparisons=(), cross_validation=folds)))
    assert f"In 5 folds, each of the {folds.groups} recordings was held out once" in "".join(tree.itertext())


@pytest.mark.parametrize("count", [2, 3])
def test_names_from_a_table_are_text_and_nothing_else(tmp_path: Path, write: Callable[..., Path], count: int) -> None:
    frame = labels_of(small_frame(), ODD[:3] if count == 3 else ODD[3:])
    frame = frame[frame["label"].notna()].rename(columns={"alpha": "<i>alpha</i>", "beta": "$\\beta$"})
    run = train(load_table(write(frame.to_csv(index=False))), overrides=LIGHT, runs_dir=None, name="odd")
    tree = check_page(report_html(RunRecord.from_run(run)))
    texts = "\n".join(tree.itertext())
    for name in ODD[:3] if count == 3 else (ODD[3], "bell\ufffd \ufffdright"):
        assert name in texts
    assert not list(tree.iter("i"))
    assert not list(tree.iter("b"))


def test_a_run_without_figures_says_so(small_csv: Path) -> None:
    run = train(load_table(small_csv), split="none", overrides=LIGHT, runs_dir=None)
    tree = check_page(report_html(RunRecord.from_run(run)))
    assert "not known" in "".join(tree.itertext())
    assert "there are no metrics of how good the model is" in "".join(tree.itertext())
    assert [s.attrib["id"] for s in tree.iter("section")] == ["weights", "features", "provenance"]


@pytest.mark.parametrize(
    ("estimators", "passthrough", "classes"),
    [(["knn"], False, 2), (["svc"], True, 2), (["knn", "svc"], False, 3)],
    ids=["knn alone", "svc alone", "nothing passed on"],
)
def test_small_and_odd_stacks_have_a_report(
    write: Callable[..., Path], estimators: list[str], passthrough: bool, classes: int
) -> None:
    frame = small_frame()
    frame["alpha"], frame["beta"] = 1.0, frame["beta"] * 1e300
    frame = frame[frame["label"] != "jazz"] if classes == 2 else frame
    overrides = {"stack": {"estimators": estimators, "passthrough": passthrough, "folds": 2}}
    run = train(load_table(write(frame.to_csv(index=False))), overrides=overrides, runs_dir=None)
    tree = check_page(report_html(RunRecord.from_run(run)))
    sections = {s.attrib["id"] for s in tree.iter("section")}
    assert ("worth" in sections) == (len(estimators) > 1)
    assert {"weights", "features"} <= sections


def test_many_classes_and_features_stay_readable() -> None:
    """A chart of 60 classes is drawn; nothing is left out of the tables."""
    labels = [f"class {i}" for i in range(60)]
    chart = charts.confusion("c", "A matrix of many classes.", labels, np.eye(60, dtype=int).tolist())
    assert str(chart.svg).count("<path") >= 60
    half = Figure(0.5, 0.4, 0.6)
    bars = charts.classes("b", "Bars of many classes.", [ClassReport(n, half, half, half, 3) for n in labels])
    assert sum(f">{label}<" in str(bars.svg) for label in labels) == charts.MOST_BARS


def test_the_page_renders_in_a_browser(windowed_run: Run, tmp_path: Path) -> None:
    assert windowed_run.path is not None
    file = windowed_run.path / "report.html"
    for scheme in ("0", "1"):
        dom, console = open_page(file, f"--blink-settings=preferredColorScheme={scheme}")
        assert not console
        assert "Accuracy, held out by recording" in dom
    page = file.read_text(encoding="utf-8")
    # Scripts of the probe are its own; the page allows none.
    for width in (360, 1200):
        whole, seen, drawings, sized = probe(page.replace("Content-Security-Policy", "Kept-Aside"), tmp_path, width)
        assert whole <= seen
        assert drawings == sized >= 6


# genrestack report RUN


def test_report_is_written_anew(tiny_run: Run, tmp_path: Path) -> None:
    assert tiny_run.path is not None
    output = tmp_path / "again.html"
    done = CliRunner().invoke(report, [str(tiny_run.path), "--output", str(output)])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == f"report: {output}"
    assert "knn alone" in done.output
    assert output.read_bytes() == (tiny_run.path / "report.html").read_bytes()


def test_report_takes_up_the_proof_of_the_export(windowed_run: Run) -> None:
    assert windowed_run.path is not None
    write_export_record(windowed_run.path, EXPORTED)
    try:
        assert read_export_record(windowed_run.path) == EXPORTED
        # The folder above stands for its latest run.
        done = CliRunner().invoke(report, [str(windowed_run.path.parent)])
        assert done.exit_code == 0, done.output
        page = (windowed_run.path / "report.html").read_text(encoding="utf-8")
        assert "60 of 60 labels agree" in page
        (windowed_run.path / "export.json").write_text("{}")
        broken = CliRunner().invoke(report, [str(windowed_run.path)])
        assert broken.exit_code == 1
        assert "export.json is broken; export the run again" in broken.output
    finally:
        (windowed_run.path / "export.json").unlink()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no run nowhere; name the folder that a training has written"),
        (["{run}", "--output", "no/such/folder.html"], "choose another file with --output"),
    ],
)
def test_what_cannot_be_done_is_one_line(tiny_run: Run, arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(report, [a.format(run=tiny_run.path) for a in arguments])
    assert done.exit_code == 1
    assert message in done.output
    assert len(done.output.strip().splitlines()) == 1
