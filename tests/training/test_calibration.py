"""Where an SVC's probabilities come from: folds that heed no order of rows, and what is done without libsvm's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import log_loss
from sklearn.svm import SVC
from training.conftest import LIGHT, windows_frame

from genrestack_bundle import open_bundle
from genrestack_training import Settings, SettingsError, Table, build_stack, load_table, resolve_settings, train
from genrestack_training.fitting import FitStore, fit_stack, plan_fits
from genrestack_training.models import stack as stacks
from genrestack_training.models.calibration import resolve_calibration
from genrestack_training.models.calibration_folds import CalibrationFolds
from genrestack_training.run_export import export_run

TEMPERED: dict[str, Any] = {**LIGHT, "svc": {"calibration": "temperature", "C": 1.0}}


def made(seed: int = 0) -> tuple[Any, Any, Any]:
    """Windows of recordings that are alike within a recording: rows, codes and the recordings' numbers."""
    frame = windows_frame(tracks=90, windows=5, artists=30, seed=seed)
    tracks = np.unique(frame["filename"].str.extract(r"song\.(\d+)")[0], return_inverse=True)[1]
    return frame.iloc[:, 1:5].to_numpy(), np.unique(frame["label"], return_inverse=True)[1], tracks


def cut(folds: CalibrationFolds, rows: Any, codes: Any) -> Any:
    """The fold that each row is asked in."""
    place = np.empty(len(rows), dtype=int)
    for number, (training, test) in enumerate(folds.split(rows, codes)):
        assert not np.intersect1d(training, test).size
        place[test] = number
    return place


@pytest.mark.parametrize("grouped", [True, False])
def test_folds_are_the_same_whatever_the_order_of_rows(grouped: bool) -> None:
    rows, codes, tracks = made()
    place = cut(CalibrationFolds(3, tracks if grouped else None), rows, codes)
    order = np.random.default_rng(1).permutation(len(rows))
    shuffled = CalibrationFolds(3, tracks[order] if grouped else None)
    np.testing.assert_array_equal(cut(shuffled, rows[order], codes[order]), place[order])
    assert sorted(np.bincount(place)) == pytest.approx([150] * 3, abs=10)
    if grouped:
        assert all(len(set(place[tracks == track])) == 1 for track in np.unique(tracks))


def test_folds_of_some_rows_keep_their_groups_whole() -> None:
    rows, codes, tracks = made()
    some = np.random.default_rng(2).permutation(len(rows))[:300]
    place = cut(CalibrationFolds(3, tracks).take(some), rows[some], codes[some])
    assert all(len(set(place[tracks[some] == track])) == 1 for track in np.unique(tracks[some]))
    with pytest.raises(ValueError, match=r"groups are of 450 rows, and 300 are fitted; fit the stack with"):
        next(iter(CalibrationFolds(3, tracks).split(rows[some], codes[some])))


@pytest.mark.parametrize("method", ["sigmoid", "temperature"])
def test_shuffling_the_table_changes_nothing_beyond_noise(method: str) -> None:
    rows, codes, tracks = made()
    asked = made(seed=1)[0]
    order = np.random.default_rng(3).permutation(len(rows))

    def answers(folds: Any, rows: Any, codes: Any) -> Any:
        svc = CalibratedClassifierCV(SVC(C=10.0, gamma=1.0), method=method, cv=folds, ensemble=False)
        return svc.fit(rows, codes).predict_proba(asked)

    expected = answers(CalibrationFolds(3, tracks), rows, codes)
    shuffled = answers(CalibrationFolds(3, tracks[order]), rows[order], codes[order])
    np.testing.assert_allclose(shuffled, expected, atol=5e-3)
    # Folds of consecutive rows: once shuffled, windows of a recording lie on both sides, and the SVC is sure of itself.
    unaware = answers(3, rows[order], codes[order])
    assert unaware.max(axis=1).mean() > expected.max(axis=1).mean() + 0.02


def test_every_fit_of_a_stack_has_folds_of_its_own_rows() -> None:
    rows, codes, tracks = made()
    stack = build_stack(overrides=TEMPERED, seed=1, groups=tracks)
    tasks = [task for task in plan_fits(stack, rows, codes) if task.part == "svc"]
    assert [len(task.estimator.cv.groups) for task in tasks] == [450, 225, 225]
    np.testing.assert_array_equal(tasks[1].estimator.cv.groups, tracks[tasks[1].training])
    fit_stack(stack, rows, codes.astype(str))
    assert stack.named_estimators_["svc"].calibrated_classifiers_[0].method == "temperature"


def test_fits_of_other_groups_are_other_fits(tmp_path: Path) -> None:
    rows, codes, tracks = made()
    store = FitStore(tmp_path / "fits")
    keys = {
        store.key(plan_fits(build_stack(overrides=TEMPERED, groups=groups), rows, codes)[1], "data")
        for groups in (tracks, tracks[::-1].copy(), None, tracks)
    }
    assert len(keys) == 3


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Table:
    path = tmp_path_factory.mktemp("windows") / "windows.csv"
    windows_frame().to_csv(path, index=False)
    return load_table(path, artist_column="artist")


@pytest.mark.parametrize(("split", "kept"), [("random", "tracks"), ("track", "tracks"), ("artist", "artists")])
def test_a_training_keeps_recordings_or_artists_whole(recordings: Table, split: str, kept: str) -> None:
    run = train(recordings, overrides=TEMPERED, split=split, compare=[], runs_dir=None)
    groups = len(np.unique(run.stack.named_estimators_["svc"].cv.groups))
    # 36 recordings of 12 artists, about a fifth of which are held out; at random, rows of every recording are left.
    assert groups == 36 if split == "random" else groups < {"tracks": 36, "artists": 12}[kept]
    assert groups > {"tracks": 12, "artists": 5}[kept]


def test_a_run_with_one_is_exported(recordings: Table, tmp_path: Path) -> None:
    run = train(recordings, overrides=TEMPERED, split="track", runs_dir=None)
    parity = open_bundle(export_run(run, tmp_path, precision="double")).model.parity
    assert parity.labels_agreed == parity.rows
    assert {part.name for part in parity.parts} == {"knn", "svc"}


def test_rows_of_a_class_with_few_recordings_are_kept_apart_one_by_one() -> None:
    rows, codes, tracks = made()
    few = np.unique(tracks[codes == 0])[2:]
    kept = ~np.isin(tracks, few)
    folds = CalibrationFolds(3, tracks[kept])
    for training, test in folds.split(rows[kept], codes[kept]):
        assert set(codes[kept][training]) == set(codes[kept][test]) == {0, 1, 2}
        others = codes[kept] != 0
        sides = [set(tracks[kept][side[others[side]]]) for side in (training, test)]
        assert not sides[0] & sides[1]
    order = np.random.default_rng(4).permutation(kept.sum())
    shuffled = CalibrationFolds(3, tracks[kept][order])
    place = cut(folds, rows[kept], codes[kept])
    np.testing.assert_array_equal(cut(shuffled, rows[kept][order], codes[kept][order]), place[order])


class LaterSVC(SVC):  # type: ignore[misc]  # scikit-learn has no types
    """An SVC as scikit-learn 1.11 has it."""

    def __init__(
        self, *, C: float = 1.0, kernel: str = "rbf", degree: int = 3, gamma: Any = "scale", coef0: float = 0.0
    ) -> None:
        super().__init__(C=C, kernel=kernel, degree=degree, gamma=gamma, coef0=coef0)


def test_auto_is_libsvms_where_there_is_one() -> None:
    assert Settings().svc.calibration == "auto"
    settings, notes = resolve_calibration(Settings())
    assert (settings.svc.calibration, notes) == ("libsvm", ())
    assert resolve_calibration(resolve_settings("best"))[0] == resolve_settings("best")


def test_the_notebooks_preset_goes_on_without_it(recordings: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, (note,) = resolve_calibration(Settings(), LaterSVC)
    assert settings.svc.calibration == "temperature"
    assert note.startswith("This scikit-learn has no SVC(probability=True): the SVC is calibrated by temperature")
    explicit = resolve_settings(overrides={"svc": {"calibration": "libsvm"}})
    with pytest.raises(SettingsError, match=r'calibration is "libsvm", and this scikit-learn has no.*"temperature" or'):
        resolve_calibration(explicit, LaterSVC)
    monkeypatch.setattr(stacks, "SVC", LaterSVC)
    svc = build_stack(settings, overrides=LIGHT).estimators[1][1]
    assert (svc.method, type(svc.estimator)) == ("temperature", LaterSVC)
    rows, codes, _ = made()
    assert log_loss(codes, svc.fit(rows, codes).predict_proba(rows)) < np.log(3)
