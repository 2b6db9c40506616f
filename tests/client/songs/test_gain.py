"""A model that divides the gain out warns of no song for being turned down: its ranges are those behind that step."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from support.samples.songs import KINDS, fit_songs, recording

from genrestack import load
from genrestack.model_info import ModelInfo
from genrestack.songs.aggregate import RangeCheck
from genrestack_audio import FEATURE_NAMES, RATE, extract_windows
from genrestack_bundle import open_bundle
from genrestack_export import GainNormalizer, export_stack


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelInfo]:
    """A model of songs whose scaler begins with the step."""
    fitted = fit_songs()
    gain = GainNormalizer(FEATURE_NAMES).fit(fitted.training_rows)
    level = gain.transform(fitted.training_rows)
    chain = Pipeline([("gain", gain), ("scaler", clone(fitted.scaler).fit(level))])
    words = fitted.stack.predict(fitted.scaler.transform(fitted.training_rows))
    unfitted = clone(fitted.stack).set_params(estimators=fitted.stack.estimators[:1])
    stack = unfitted.fit(chain.transform(fitted.training_rows), words)
    folder = export_stack(
        stack, chain, feature_names=FEATURE_NAMES, reference_rows=fitted.rows, training_rows=fitted.training_rows,
        models_dir=tmp_path_factory.mktemp("models"), name="steady",
    )  # fmt: skip
    manifest = open_bundle(folder).model
    rms, var = (manifest.features[FEATURE_NAMES.index(name)] for name in ("rms_mean", "rms_var"))
    assert (manifest.format, manifest.gain_feature, rms.gain.power, var.gain.power) == (1, "rms_mean", 1, 2)
    assert (rms.gain.seen_min, rms.gain.seen_max) == (1, 1)
    assert rms.seen_min == fitted.training_rows[:, FEATURE_NAMES.index("rms_mean")].min()
    assert not manifest.features[FEATURE_NAMES.index("tempo")].HasField("gain")
    with load(folder.parent) as model:
        yield model.model("steady")


def watched(info: ModelInfo, decibels: float) -> RangeCheck:
    check = RangeCheck(info)
    for kind in KINDS:
        # Of the very windows that it was fitted on.
        sound = recording(kind, 15, 0)[: 3 * RATE] * np.float32(10 ** (decibels / 20))
        check.watch(extract_windows(sound, RATE))
    return check


def test_a_song_turned_up_or_down_is_not_warned_of(info: ModelInfo) -> None:
    for decibels in (-20, 6):
        check = watched(info, decibels)
        assert (check.outside(), check.warnings()) == ((), ())
    # As a client that knows nothing of the step would have it.
    raw = replace(info, gain_feature="", features=tuple(replace(f, gain=None) for f in info.features))
    assert watched(raw, 6).warnings()


def test_what_is_outside_at_any_volume_is_told(info: ModelInfo) -> None:
    check, column = RangeCheck(info), FEATURE_NAMES.index("harmony_var")
    row = extract_windows(recording("band", 15, 0)[: 3 * RATE], RATE)
    row[:, column] *= 50
    check.watch(row)
    (outside,) = check.outside()
    gain = info.features[column].gain
    assert gain is not None
    assert (outside.name, outside.seen_max) == ("harmony_var", gain.seen_max)
    assert outside.value == pytest.approx(row[0, column] / row[0, FEATURE_NAMES.index("rms_mean")] ** 2)
    assert ", the gain divided out)" in check.warnings()[0]


def test_silence_keeps_its_values(info: ModelInfo) -> None:
    check = RangeCheck(info)
    check.watch(np.zeros((1, len(FEATURE_NAMES))))
    rms = next(outside for outside in check.outside() if outside.name == "rms_mean")
    assert rms.value == 0
