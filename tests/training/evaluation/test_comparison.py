"""Two runs side by side: the paired test against references, the pairing of rows, what is refused."""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import permutation_test
from sklearn.metrics import accuracy_score, f1_score, log_loss
from support.pages import check_page
from training.conftest import LIGHT

from genrestack_training import Run, RunError, load_predictions, load_table, save_run, train
from genrestack_training.cli.report import report
from genrestack_training.comparison import RunComparison, compare_runs
from genrestack_training.evaluation.results import Figure
from genrestack_training.evaluation.sign_flip import FLIPS, sign_flip_test
from genrestack_training.report.comparison import comparison_html
from genrestack_training.report.console import verdict

OTHER = {**LIGHT, "knn": {"n_neighbors": 9, "weights": "uniform"}, "svc": {"C": 0.01}}


@pytest.fixture(scope="module")
def other_run(windowed_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same rows held out, and by recording in folds."""
    folder = tmp_path_factory.mktemp("runs") / "other"
    return train(load_table(windowed_csv), overrides=OTHER, folds=3, run_dir=folder, name="other")


@pytest.fixture(scope="module")
def comparison(windowed_run: Run, other_run: Run) -> RunComparison:
    assert windowed_run.path is not None
    assert other_run.path is not None
    return compare_runs(windowed_run.path, other_run.path)


# the test


@pytest.mark.parametrize("differences", [[2, 1], [2, 1, -1], [3, 1, 1, 0, 2, -1, 0, 4], [1, -1]])
def test_few_groups_are_counted_exactly(differences: list[int]) -> None:
    values = np.array(differences)
    found = sign_flip_test(values)
    reference = permutation_test(
        (values[values != 0],), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    turns = [abs(np.dot(signs, values)) for signs in itertools.product((-1, 1), repeat=len(values))]
    assert found.exact
    assert found.p == pytest.approx(np.mean(np.array(turns) >= abs(values.sum())))
    assert found.p == pytest.approx(min(1.0, reference.pvalue))
    assert (found.groups, found.differing) == (len(values), int(np.count_nonzero(values)))


def test_many_groups_are_drawn() -> None:
    values = np.random.default_rng(3).integers(-2, 4, size=60)
    found = sign_flip_test(values, seed=1)
    moved = values[values != 0].astype(float)
    reference = permutation_test((moved,), np.sum, permutation_type="samples", n_resamples=20_000, rng=5)
    assert not found.exact
    assert found.p == pytest.approx(reference.pvalue, abs=0.02)
    assert found == sign_flip_test(values, seed=1)
    assert sign_flip_test(np.full(60, 3)).p == 1 / (1 + FLIPS)


def test_no_difference_is_no_evidence() -> None:
    assert sign_flip_test(np.zeros(8, dtype=np.int64)).p == 1.0


def test_chance_is_called_by_its_name() -> None:
    """Of groups without a true difference, one in twenty is below 0.05, and hardly more."""
    random = np.random.default_rng(0)
    p = [sign_flip_test(random.integers(-3, 4, size=12), seed=i).p for i in range(400)]
    assert 0.02 <= np.mean(np.array(p) <= 0.05) <= 0.08


# the pairing


def test_both_are_measured_on_the_rows_they_share(comparison: RunComparison, windowed_run: Run, other_run: Run) -> None:
    assert [(p.split, p.folds) for p in comparison.splits] == [("track", (1, 3)), ("random", (1, 1))]
    first, second = windowed_run.predictions["track_split"], other_run.predictions["folds"]
    shared = np.intersect1d(first.rows, second.rows)
    by_track = comparison.splits[0]
    assert by_track.rows.count == len(shared) == len(first.rows)
    assert by_track.left_out == (0, 90 - len(shared))
    at = {a: np.array([list(a.rows).index(row) for row in shared]) for a in (first, second)}
    for answers, which in ((first, "first"), (second, "second")):
        truth, decided = answers.truth[at[answers]], answers.decisions["stack"][at[answers]]
        probabilities = answers.probabilities["stack"][at[answers]]
        figures = {name: getattr(shift, which) for name, shift in by_track.rows.figures.items()}
        assert figures["accuracy"] == pytest.approx(accuracy_score(truth, decided))
        assert figures["macro_f1"] == pytest.approx(f1_score(truth, decided, average="macro"))
        assert figures["log_loss"] == pytest.approx(log_loss(truth, probabilities, labels=[0, 1, 2]), rel=1e-5)
    assert sum(by_track.agreement) == len(shared)
    both, one, two, _ = by_track.agreement
    assert by_track.rows.figures["accuracy"].first == pytest.approx((both + one) / len(shared))
    assert by_track.rows.figures["accuracy"].second == pytest.approx((both + two) / len(shared))
    assert by_track.unit == "track"
    assert by_track.songs is not None
    assert first.tracks is not None
    assert by_track.songs.count == len(np.unique(first.tracks))
    assert set(by_track.models) == {"stack", "knn", "svc"}


def test_a_run_differs_from_itself_in_nothing(windowed_run: Run) -> None:
    assert windowed_run.path is not None
    for compared in compare_runs(windowed_run.path, windowed_run.path).splits:
        for shift in (*compared.rows.figures.values(), *compared.models.values()):
            assert (shift.difference.value, shift.difference.lower, shift.difference.upper) == (0, 0, 0)
        assert compared.rows.test.p == 1.0
        assert "no more than chance" in verdict(compared)
    page = comparison_html(compare_runs(windowed_run.path, windowed_run.path))
    assert "Settings and provenance are the same." in page
    check_page(page)


@pytest.mark.parametrize(
    ("lower", "upper", "p", "said"),
    [
        (0.001, 0.057, 0.082, "the interval leaves out 0, and the test finds no more than chance may make (p = 0.082)"),
        (-0.01, 0.05, 0.03, "the interval holds 0, and the test finds more than chance may make (p = 0.03)"),
        (0.001, 0.057, 0.03, ""),
        (-0.01, 0.05, 0.3, ""),
    ],
)
def test_the_page_says_where_interval_and_test_disagree(
    comparison: RunComparison, lower: float, upper: float, p: float, said: str
) -> None:
    first = comparison.splits[0]
    rows = first.rows
    accuracy = replace(rows.figures["accuracy"], difference=Figure(0.03, lower, upper))
    rows = replace(rows, figures={**rows.figures, "accuracy": accuracy}, test=replace(rows.test, p=p))
    page = comparison_html(replace(comparison, splits=(replace(first, rows=rows, songs=None),)))
    text = "".join(check_page(page).itertext())
    assert ("interval and test disagree" in text) == bool(said)
    assert said in text
    assert first.songs is not None
    songs = comparison_html(replace(comparison, splits=(replace(first, songs=replace(rows, count=first.songs.count)),)))
    assert ("Of whole recordings, interval and test disagree" in songs) == bool(said)


def test_the_page_shows_the_same(comparison: RunComparison) -> None:
    page = comparison_html(comparison)
    tree = check_page(page)
    texts = "".join(tree.itertext())
    assert verdict(comparison.splits[0]) in texts
    assert "[svc] C" in texts


def test_what_only_one_has_is_said(windowed_run: Run, other_run: Run, tmp_path: Path) -> None:
    assert windowed_run.path is not None
    alone = replace(other_run, cross_validation=None, predictions={"evaluation": other_run.predictions["evaluation"]})
    found = compare_runs(windowed_run.path, save_run(alone, tmp_path / "alone"))
    assert [p.split for p in found.splits] == ["random"]
    assert found.notes == ("Only the first run has metrics of rows held out by recording.",)


def test_groups_have_to_be_the_same(windowed_run: Run, tmp_path: Path) -> None:
    assert windowed_run.path is not None
    answers = load_predictions(windowed_run.path)
    moved = {key: replace(a, groups=np.roll(a.groups, 1)) for key, a in answers.items()}
    other = save_run(replace(windowed_run, predictions=moved), tmp_path / "moved")
    with pytest.raises(RunError, match=r"into different recordings\..*same --groups"):
        compare_runs(windowed_run.path, other)


def test_runs_on_different_tables_are_refused(windowed_run: Run, tmp_path: Path) -> None:
    elsewhere = replace(windowed_run.provenance, data_sha256="0" * 64)
    other = save_run(replace(windowed_run, provenance=elsewhere), tmp_path / "other")
    _refused(windowed_run.path, other, "measured on different tables")


def test_runs_that_held_nothing_back_are_refused(windowed_run: Run, tmp_path: Path) -> None:
    nothing = save_run(replace(windowed_run, evaluation=None, comparisons=(), predictions={}), tmp_path / "nothing")
    _refused(nothing, nothing, "cannot be compared. Neither held out rows. Train both with the same --split")


def _refused(first: Path | None, second: Path, message: str) -> None:
    done = CliRunner().invoke(report, [str(first), str(second)])
    assert done.exit_code == 1
    assert message in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_the_command_writes_a_page_and_shows_a_table(
    windowed_run: Run,
    other_run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(str(other_run.path), tmp_path / "b")
    done = CliRunner().invoke(report, [str(windowed_run.path), "b"])
    assert done.exit_code == 0, done.output
    assert "report: comparison.html" in done.output
    assert "B less A" in done.output
    assert "accuracy, songs" in done.output
    check_page((tmp_path / "comparison.html").read_text(encoding="utf-8"))
