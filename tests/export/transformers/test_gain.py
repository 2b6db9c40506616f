"""The step that divides the gain out: against recordings really turned up and down, and its graph against itself."""

import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pandas as pd
import pytest
from export.conftest import FitStack, draw
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, QuantileTransformer, StandardScaler
from support.samples.songs import recording

from genrestack_audio import FEATURE_NAMES, RATE, extract_windows
from genrestack_bundle import open_bundle
from genrestack_bundle.runtime.compose import FEATURES, SCALED
from genrestack_export import ExportError, GainNormalizer, export_model, export_stack
from genrestack_export.converters.parts import convert_scaler
from genrestack_export.gain import GAIN_COLUMNS, SILENCE

Rows = npt.NDArray[np.float64]
RMS = FEATURE_NAMES.index("rms_mean")


def graph_answer(scaler: Any, rows: npt.NDArray[np.float32]) -> Rows:
    session = ort.InferenceSession(convert_scaler(scaler).model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run([SCALED], {FEATURES: rows})[0])


@pytest.fixture(scope="module")
def by_decibels() -> dict[int, Rows]:
    """Two windows of each kind of recording at several volumes, by real feature extraction."""
    recordings = [recording(kind, 6) for kind in ("band", "hiss")]
    return {
        decibels: np.concatenate([extract_windows(r * np.float32(10 ** (decibels / 20)), RATE) for r in recordings])
        for decibels in (0, -20, 6)
    }


@pytest.fixture(scope="module")
def step() -> GainNormalizer:
    return GainNormalizer(FEATURE_NAMES).fit(np.zeros((1, len(FEATURE_NAMES))))


def test_a_song_turned_up_or_down_has_the_same_row(by_decibels: dict[int, Rows], step: GainNormalizer) -> None:
    expected = step.transform(by_decibels[0])
    for turned in by_decibels.values():
        np.testing.assert_allclose(step.transform(turned), expected, rtol=1e-3, atol=1e-3)
    assert np.abs(by_decibels[-20] / by_decibels[0] - 1).max() > 0.5


def test_columns_that_know_no_gain_stay_as_they_are(by_decibels: dict[int, Rows], step: GainNormalizer) -> None:
    rows = by_decibels[0]
    others = [column for column, name in enumerate(FEATURE_NAMES) if name not in GAIN_COLUMNS]
    np.testing.assert_array_equal(step.transform(rows)[:, others], rows[:, others])
    assert (step.transform(rows)[:, RMS] == 1).all()


def test_columns_are_found_by_name(by_decibels: dict[int, Rows], step: GainNormalizer) -> None:
    order = np.random.default_rng(3).permutation(len(FEATURE_NAMES))
    names = [FEATURE_NAMES[column] for column in order]
    rows = by_decibels[6]
    shuffled = GainNormalizer(names).fit(rows[:, order]).transform(rows[:, order])
    np.testing.assert_array_equal(shuffled, step.transform(rows)[:, order])
    frame = pd.DataFrame(rows[:, order], columns=names)
    np.testing.assert_array_equal(GainNormalizer().fit(frame).transform(frame), shuffled)
    with pytest.raises(ValueError, match="in another order; pass those of the fit"):
        step.transform(frame)


def test_silence_passes_unchanged(step: GainNormalizer) -> None:
    rows = np.random.default_rng(0).normal(size=(3, len(FEATURE_NAMES))).astype(np.float32).astype(np.float64)
    rows[:, RMS] = 0.0, np.float32(SILENCE / 2), -0.0
    np.testing.assert_array_equal(step.transform(rows), rows)
    np.testing.assert_array_equal(graph_answer(step, rows.astype(np.float32)), rows)
    silent = extract_windows(np.zeros(3 * RATE, dtype=np.float32), RATE)
    np.testing.assert_array_equal(step.transform(silent), silent)


def test_a_row_without_a_level_lacks_what_follows_it(step: GainNormalizer, by_decibels: dict[int, Rows]) -> None:
    rows = by_decibels[0].copy()
    rows[1, RMS] = np.nan
    transformed = step.transform(rows)
    lost = {FEATURE_NAMES[column] for column in np.flatnonzero(np.isnan(transformed[1]))}
    assert lost == set(GAIN_COLUMNS)
    assert not np.isnan(transformed[0]).any()
    answer = graph_answer(step, rows.astype(np.float32))
    np.testing.assert_array_equal(np.isnan(answer), np.isnan(transformed))


@pytest.mark.parametrize("scaler", [MinMaxScaler(), StandardScaler(), PowerTransformer(),
                                    QuantileTransformer(output_distribution="normal", n_quantiles=50)],
                         ids=lambda scaler: type(scaler).__name__)  # fmt: skip
def test_the_graph_transforms_as_the_step_does(scaler: Any, step: GainNormalizer) -> None:
    rng = np.random.default_rng(5)
    rows = np.abs(rng.normal(size=(200, len(FEATURE_NAMES)))) * 10.0 ** rng.uniform(-4, 1, len(FEATURE_NAMES))
    rows[:, FEATURE_NAMES.index("mfcc1_mean")] *= -1
    chain = Pipeline([("gain", step), ("scaler", clone(scaler).fit(step.transform(rows)))])
    wire = rows.astype(np.float32)
    wire[:3, RMS] = 0, 1e-30, -1
    expected = chain.transform(wire.astype(np.float64))
    np.testing.assert_allclose(graph_answer(chain, wire), expected, rtol=1e-10, atol=1e-10)


def frame_of_songs(rows: int, seed: int) -> tuple[pd.DataFrame, Any]:
    """Three classes that loudness, drawn for each row, hides unless it is divided out."""
    values, labels = draw(rows, seed)
    gain = 10 ** np.random.default_rng(seed + 10).uniform(-1, 1, rows)
    frame = pd.DataFrame({name: np.full(rows, 0.5) for name in GAIN_COLUMNS})
    frame["harmony_var"], frame["mfcc1_mean"] = np.exp(values[:, 0]), 20 * values[:, 1]
    for name, power in {"rms_mean": 1, "rms_var": 2, "harmony_mean": 1, "harmony_var": 2, "perceptr_mean": 1}.items():
        frame[name] *= gain**power
    frame["mfcc1_mean"] += np.sqrt(128) * 20 * np.log10(gain)
    return frame.assign(tempo=values[:, 2]), labels


def test_an_exported_pipeline_answers_as_it_does_and_not_by_volume(tmp_path: Any, fit: FitStack) -> None:
    training, labels = frame_of_songs(90, seed=1)
    held, _ = frame_of_songs(30, seed=2)
    case = fit()
    chain = Pipeline([("gain", GainNormalizer()), ("fill", SimpleImputer()), ("scale", StandardScaler())])
    scaled = chain.fit_transform(training)
    case.stack.set_params(final_estimator=LogisticRegression()).fit(scaled, labels)
    path = export_stack(
        case.stack, pickle.loads(pickle.dumps(chain)), feature_names=[str(name) for name in training],
        reference_rows=held, training_rows=training, models_dir=tmp_path, name="songs", accepts_missing=["tempo"],
    )  # fmt: skip
    bundle = open_bundle(path)
    assert bundle.model.parity.labels_agreed == bundle.model.parity.rows > 30
    wrong = [str(name) for name in reversed(list(training))]
    with pytest.raises(ExportError, match="columns the names and the order of the fit"):
        export_stack(case.stack, chain, feature_names=wrong, reference_rows=held, models_dir=tmp_path, name="songs")


def test_a_pipeline_of_the_step_and_a_stack_is_found(tmp_path: Any, fit: FitStack) -> None:
    training, labels = frame_of_songs(90, seed=1)
    stack = fit(KNeighborsClassifier(3)).stack
    whole = Pipeline([("gain", GainNormalizer()), ("scale", MinMaxScaler()), ("stack", stack)]).fit(training, labels)
    path = export_model(whole, reference_rows=frame_of_songs(30, seed=2)[0], models_dir=tmp_path, name="songs")
    assert [feature.name for feature in open_bundle(path).model.features] == list(training)


@pytest.mark.parametrize(
    ("names", "rows", "message"),
    [
        (None, np.zeros((2, 3)), "finds columns by name; pass feature_names, or fit it on a DataFrame"),
        (("rms_mean", "tempo"), np.zeros((2, 3)), "has 2 feature names for rows of 3 columns"),
        (("rms_mean", "tempo", "mfcc1_mean"), np.zeros((2, 3)), "needs the columns 'rms_var', .*the rows lack them"),
    ],
)
def test_a_fit_without_the_columns_says_which(names: Any, rows: Rows, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GainNormalizer(names).fit(rows)


def test_rows_of_another_width_are_refused(step: GainNormalizer) -> None:
    with pytest.raises(ValueError, match="was fitted on 57 columns, not 3"):
        step.transform(np.zeros((2, 3)))
