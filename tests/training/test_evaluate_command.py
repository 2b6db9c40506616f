"""`genrestack evaluate`: figures as scikit-learn computes them, over a real server and in process."""

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from export.conftest import draw
from markupsafe import escape
from scipy.stats import ttest_1samp
from server.running.live import Running, running_server
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss
from sklearn.pipeline import make_pipeline
from support.pages import check_page
from support.samples.songs import write_recording
from support.samples.stacks import FittedStack
from support.samples.stacks import export as export_digits

import genrestack
from genrestack_common.extractors import Extractor
from genrestack_proto.v1.model_pb2 import Provenance
from genrestack_training.cli.evaluate import evaluate
from genrestack_training.report.collection import collection_html
from genrestack_training.report.shift import shift_sentences
from genrestack_training.served.collection import (
    CollectionEvaluation,
    TableColumns,
    evaluate_collection,
    read_collection,
)
from genrestack_training.served.model import describe

Frame = Callable[..., Path]


def frame_of(stack: FittedStack, rows: int = 120) -> pd.DataFrame:
    """Four windows of each recording, pixels a little brighter than in training."""
    frame = pd.DataFrame(stack.rows[:rows] + 0.0, columns=list(stack.feature_names))
    frame.insert(0, "filename", [f"clip.{row // 4:03d}.{row % 4}.wav" for row in range(rows)])
    return frame.assign(label=stack.labels[:rows])


@pytest.fixture(scope="module")
def server(models_dir: Path) -> Iterator[Running]:
    with running_server(models_dir) as running:
        yield running


@pytest.fixture
def table(small_stack: FittedStack, tmp_path: Path) -> Path:
    frame_of(small_stack).to_csv(tmp_path / "mine.csv", index=False)
    return tmp_path / "mine.csv"


@pytest.fixture(scope="module")
def found(small_stack: FittedStack, models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> CollectionEvaluation:
    """The digits' own evaluation, with every pixel a standard deviation up or down on a sixth of the features."""
    frame = frame_of(small_stack)
    file = tmp_path_factory.mktemp("collection") / "mine.csv"
    frame.to_csv(file, index=False)
    with genrestack.load(models_dir) as client:
        model = describe(client, None, None)
        return evaluate_collection(client, model, read_collection(file, model, TableColumns()))


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(evaluate, [str(argument) for argument in arguments])


def _one_line(result: Result, *phrases: str) -> None:
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    (error,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert result.output.splitlines()[-1] == error
    for phrase in phrases:
        assert phrase in error


def test_figures_are_scikit_learns(found: CollectionEvaluation, small_stack: FittedStack) -> None:
    rows, truth = small_stack.rows[:120], small_stack.labels[:120]
    probabilities = small_stack.probabilities(rows)
    metrics = found.evaluation.models["stack"].rows
    assert metrics["accuracy"].value == accuracy_score(truth, small_stack.predict(rows))
    assert metrics["balanced_accuracy"].value == pytest.approx(
        balanced_accuracy_score(truth, small_stack.predict(rows))
    )
    assert metrics["macro_f1"].value == pytest.approx(f1_score(truth, small_stack.predict(rows), average="macro"))
    classes = list(small_stack.classes)
    assert metrics["log_loss"].value == pytest.approx(log_loss(truth, probabilities, labels=classes), abs=1e-4)
    # Rows of one clip with two labels are two songs.
    clips = pd.DataFrame({"clip": np.arange(120) // 4, "truth": truth})
    means = [probabilities[part.index].mean(axis=0) for _, part in clips.groupby(["clip", "truth"], sort=True)]
    answers = [classes[int(np.argmax(mean))] for mean in means]
    right = [truth_ for (_, truth_), _ in clips.groupby(["clip", "truth"], sort=True)]
    assert found.evaluation.song_accuracy == accuracy_score(right, answers)
    scaled = small_stack.scale(rows)
    for name, member in small_stack.base.items():
        value = found.evaluation.models[name].rows["log_loss"].value
        assert value == pytest.approx(log_loss(truth, member.predict_proba(scaled), labels=classes), abs=1e-3)
        # A served part answers with its most probable class.
        best = [classes[i] for i in np.argmax(member.predict_proba(scaled), axis=1)]
        assert found.evaluation.base_accuracy[name] == accuracy_score(truth, best)


def test_interval_holds_the_figure_and_is_over_recordings(found: CollectionEvaluation) -> None:
    figure = found.evaluation.models["stack"].rows["accuracy"]
    assert figure.lower is not None
    assert figure.upper is not None
    assert figure.lower <= figure.value <= figure.upper
    assert (found.evaluation.interval_unit, found.evaluation.groups) == ("track", 30)


def test_shift_is_in_deviations_of_the_training_rows(found: CollectionEvaluation, small_stack: FittedStack) -> None:
    """The interval is that of scipy's t test on the recordings' means, where all recordings are as long."""
    training, rows = small_stack.training_rows, small_stack.rows[:120]
    shown = {f.name: f for f in found.shift.features}
    moved = 0
    for column, name in enumerate(small_stack.feature_names):
        deviation = training[:, column].std()
        shift = shown[name].shift
        if not deviation:
            assert shift is None
            continue
        z = (rows[:, column] - training[:, column].mean()) / deviation
        assert shift is not None
        assert shift.value == pytest.approx(z.mean())
        if np.ptp(z) == 0:
            continue
        expected = ttest_1samp(z.reshape(30, 4).mean(axis=1), 0).confidence_interval()
        assert (shift.lower, shift.upper) == pytest.approx((expected.low, expected.high))
        moved += shown[name].notable
    assert len(found.shift.notable()) == moved


def test_a_moved_collection_is_told_in_words(small_stack: FittedStack, tmp_path: Path) -> None:
    """Louder and darker, by features that say so to the ear."""
    names = ("rms_mean", "spectral_centroid_mean", *small_stack.feature_names[2:])
    random = np.random.default_rng(3)
    lively = FittedStack(
        small_stack.stack, small_stack.scaler, names, small_stack.classes,
        small_stack.training_rows + random.normal(size=small_stack.training_rows.shape), small_stack.rows, [],
    )  # fmt: skip
    models = tmp_path / "models"
    export_digits(lively, models, "moved")
    training = lively.training_rows
    rows = training[:200].copy()
    rows[:, 0] += training[:, 0].std() - rows[:, 0].mean() + training[:, 0].mean()
    rows[:, 1] -= 0.6 * training[:, 1].std() + rows[:, 1].mean() - training[:, 1].mean()
    frame = pd.DataFrame(rows, columns=list(names)).assign(label="one")
    frame.to_csv(tmp_path / "moved.csv", index=False)
    with genrestack.load(models) as client:
        model = describe(client, None, None)
        found = evaluate_collection(client, model, read_collection(tmp_path / "moved.csv", model, TableColumns()))
    first, *_ = shift_sentences(found)
    assert "louder and darker than what the model knows: rms +1.0 sd, centroid −0.6 sd." in first


def test_over_a_server_and_in_process_the_same(server: Running, models_dir: Path, table: Path, tmp_path: Path) -> None:
    pages = [tmp_path / "served.html", tmp_path / "loaded.html"]
    served = _run(table, "--server", f"127.0.0.1:{server.port}", "--model", "digits/1", "--output", pages[0])
    loaded = _run(table, "--models", models_dir, "--output", pages[1])
    assert served.exit_code == loaded.exit_code == 0, served.output + loaded.output
    assert served.output.replace("served.html", "loaded.html") == loaded.output
    assert "120 rows of 30 recordings" not in served.output.splitlines()[-1]
    tree = check_page(pages[0].read_text(encoding="utf-8"))
    sections = [section.attrib["id"] for section in tree.iter("section")]
    assert sections == ["shift", "models", "confusion", "classes", "reliability", "confused", "provenance"]
    assert (
        "held out"
        not in pages[0].read_text(encoding="utf-8").partition("Rows of the collection")[2].partition("<h2")[0]
    )


def test_the_stack_before_its_export_answers_the_same(
    small_stack: FittedStack, models_dir: Path, table: Path, tmp_path: Path
) -> None:
    joblib.dump(make_pipeline(small_stack.scaler, small_stack.stack), tmp_path / "mine.joblib")
    joblib.dump(small_stack.stack, tmp_path / "bare.joblib")
    joblib.dump(small_stack.scaler, tmp_path / "scaler.joblib")
    page = tmp_path / "page.html"
    given = [table, "--models", models_dir, "--output", page, "--against"]
    for more in ([tmp_path / "mine.joblib"], [tmp_path / "bare.joblib", "--scaler", tmp_path / "scaler.joblib"]):
        result = _run(*given, *more)
        assert result.exit_code == 0, result.output
        assert "only open files you trust" in result.output
        assert "All 120 labels are those of" in result.output
    assert "original" in [s.attrib["id"] for s in check_page(page.read_text(encoding="utf-8")).iter("section")]


def test_another_stack_is_told_by_the_exit_status(
    small_stack: FittedStack, models_dir: Path, table: Path, tmp_path: Path
) -> None:
    joblib.dump(small_stack.stack, tmp_path / "unscaled.joblib")
    result = _run(
        table, "--models", models_dir, "--output", tmp_path / "x.html", "--against", tmp_path / "unscaled.joblib"
    )
    assert result.exit_code == 1
    assert "labels differ from those of unscaled.joblib; the first in data row" in " ".join(result.output.split())
    answers = small_stack.stack.predict(small_stack.rows[:120])
    differing = int((answers != np.array(small_stack.predict(small_stack.rows[:120]))).sum())
    assert f"{differing} of 120 labels differ" in result.output
    assert "Of these, 0 differ no more" in result.output
    assert "The others are wrong: export the stack again" in " ".join(result.output.split())


def test_an_original_of_another_kind_is_refused(models_dir: Path, table: Path, tmp_path: Path) -> None:
    values, labels = draw(60, seed=1)
    joblib.dump(LogisticRegression().fit(values, labels), tmp_path / "other.joblib")
    result = _run(table, "--models", models_dir, "--against", tmp_path / "other.joblib")
    _one_line(result, "other.joblib knows the classes", "digits/1", "name the stack that was exported")


def test_unknown_labels_are_named_with_their_rows(models_dir: Path, small_stack: FittedStack, tmp_path: Path) -> None:
    frame = frame_of(small_stack)
    frame.loc[[4, 9], "label"] = ["fuor", "ten"]
    frame.to_csv(tmp_path / "mine.csv", index=False)
    result = _run(tmp_path / "mine.csv", "--models", models_dir)
    _one_line(result, "mine.csv: column 'label' has 2 labels", "digits/1 does not know, in data rows 5, 10: 'fuor'")
    _one_line(result, "did you mean 'four'?", "Rename them")


def test_missing_labels_columns_and_values(models_dir: Path, small_stack: FittedStack, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    frame = frame_of(small_stack)
    frame.drop(columns="label").to_csv(file, index=False)
    _one_line(_run(file, "--models", models_dir), "mine.csv: no label column 'label'", "--label")
    frame.assign(label=frame["label"].where(frame.index != 6)).to_csv(file, index=False)
    _one_line(_run(file, "--models", models_dir), "no label in data row 7")
    frame.drop(columns=["pixel_3", "pixel_10"]).to_csv(file, index=False)
    _one_line(_run(file, "--models", models_dir), "lacks 2 columns of the 64", "'pixel_3', 'pixel_10'")
    frame.assign(pixel_7=frame["pixel_7"].where(frame.index != 2)).to_csv(file, index=False)
    _one_line(_run(file, "--models", models_dir), "digits/1 takes no missing values here", "'pixel_7' data row 3")
    frame.assign(pixel_7=np.inf).to_csv(file, index=False)
    _one_line(_run(file, "--models", models_dir), "column 'pixel_7' data rows 1, 2", "Inf")


def test_columns_in_another_order_and_others_beside_them(
    models_dir: Path, small_stack: FittedStack, tmp_path: Path, found: CollectionEvaluation
) -> None:
    frame = frame_of(small_stack).assign(mood="calm", bpm=90)
    frame[[*reversed(frame.columns)]].to_csv(tmp_path / "mine.csv", index=False)
    with genrestack.load(models_dir) as client:
        model = describe(client, "digits", 1)
        read = read_collection(tmp_path / "mine.csv", model, TableColumns())
        assert evaluate_collection(client, model, read).evaluation.models == found.evaluation.models


def test_dead_server_unknown_model_and_wrong_words(server: Running, table: Path, models_dir: Path) -> None:
    _one_line(_run(table, "--server", "127.0.0.1:9", "--timeout", 0.5), "127.0.0.1:9")
    _one_line(_run(table, "--server", f"127.0.0.1:{server.port}", "--model", "digts"), "digts", "digits")
    _one_line(_run(table, "--models", table.parent / "nowhere"), "nowhere")
    assert "'x' is not a version; write digits or digits/1" in _run(table, "--model", "digits/x").output
    assert _run(table, "--models", models_dir, "--scaler", table).exit_code == 2
    assert _run(table, "--models", models_dir, "--server", "127.0.0.1:9").exit_code == 2


def test_the_table_of_the_training_is_warned_of(small_stack: FittedStack, table: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    export_digits(small_stack, tmp_path / "models", "own", provenance=Provenance(data_sha256=digest))
    result = _run(table, "--models", tmp_path / "models", "--output", tmp_path / "page.html")
    assert "warning: own/1 was trained on this very table" in result.output
    assert "this very table" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_figures_of_a_tagger_are_warned_of(small_stack: FittedStack, models_dir: Path, tmp_path: Path) -> None:
    tagger = Extractor("tags", "a" * 64)
    frame_of(small_stack).assign(extractor=str(tagger)).to_csv(tmp_path / "mine.csv", index=False)
    with genrestack.load(models_dir) as client:
        model = replace(describe(client, None, None), extractor=tagger)
        found = evaluate_collection(client, model, read_collection(tmp_path / "mine.csv", model, TableColumns()))
    (note,) = found.notes
    assert note.startswith("warning: the features are answers of a pre-trained tagger")
    assert escape(note.removeprefix("warning: ")) in collection_html(found)


def test_genre_folders_are_compared_before_features_are_computed(models_dir: Path, tmp_path: Path) -> None:
    for genre in ("one", "two", "bossa"):
        (tmp_path / "music" / genre).mkdir(parents=True)
        write_recording(tmp_path / "music" / genre / "a.wav", "band")
    _one_line(_run(tmp_path / "music", "--models", models_dir), "music: digits/1 knows no genre of 1 folder: 'bossa'")


def test_a_client_without_recordings_libraries_says_what_to_install(models_dir: Path, tmp_path: Path) -> None:
    """In a process in which librosa cannot be found, as in an environment without the extra."""
    (tmp_path / "music" / "one").mkdir(parents=True)
    program = (
        "import sys, importlib.util as util; find = util.find_spec\n"
        "import genrestack_training.cli.evaluate as command\n"
        "command.find_spec = lambda name: None if name == 'librosa' else find(name)\n"
        "command.evaluate(sys.argv[1:])"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "music"), "--models", str(models_dir)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'pip install "genrestack[audio]"' in done.stderr
