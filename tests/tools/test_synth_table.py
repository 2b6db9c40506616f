from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from genrestack.cli.demo.demo import SONG_STYLE
from genrestack_audio import FEATURE_NAMES, RATE, extract_windows
from tools.make_demo_data import DATA, HEADER, rows_of, songs, write_song
from tools.synth import DEMO_SONG, STYLES
from tools.synth.demo import TABLE_SEEDS

FEATURES = list(FEATURE_NAMES)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.read_csv(DATA / "songs.csv.gz")


def quick() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))


def test_the_table_has_the_published_layout(table: pd.DataFrame) -> None:
    assert tuple(table.columns) == HEADER
    assert table.filename.tolist() == [
        f"{style}.{seed:03d}.{window}.wav" for style, seed in songs() for window in range(3)
    ]
    assert table.label.tolist() == [name.partition(".")[0] for name in table.filename]
    assert set(table.length) == {66149}
    assert np.isfinite(table[FEATURES].to_numpy()).all()


def test_the_shipped_rows_are_what_the_tool_makes(table: pd.DataFrame) -> None:
    span = np.ptp(table[FEATURES].to_numpy(), axis=0)
    for number, style in enumerate(STYLES):
        seed = TABLE_SEEDS[4 * number + 1]
        made = rows_of((style, seed))
        shipped = table[table.filename.str.startswith(f"{style}.{seed:03d}.")]
        assert [row[0] for row in made] == shipped.filename.tolist()
        values = np.array([row[2:-1] for row in made], dtype=np.float64)
        # Columns about zero, such as the mean of a wave, are compared by what they range over.
        assert (np.abs(values - shipped[FEATURES]) <= 1e-4 * np.maximum(np.abs(values), span)).all(axis=None)


def test_the_styles_are_told_apart_and_overlap(table: pd.DataFrame) -> None:
    song = table.filename.str.rsplit(".", n=2).str[0]
    folds = StratifiedGroupKFold(4, shuffle=True, random_state=0)
    heard = cross_val_predict(quick(), table[FEATURES], table.label, groups=song, cv=folds)
    assert 0.9 < (heard == table.label).mean() < 0.99


def test_the_demo_song_is_new_and_heard_as_its_style(table: pd.DataFrame) -> None:
    assert DEMO_SONG.seed not in TABLE_SEEDS
    song, rate = soundfile.read(DATA / "song.flac", dtype="float32")
    fitted = quick().fit(table[FEATURES].to_numpy(), table.label)
    windows = fitted.predict_proba(extract_windows(song, rate))
    assert fitted.classes_[windows.mean(axis=0).argmax()] == DEMO_SONG.style


def test_the_shipped_song_is_what_the_tool_makes(tmp_path: Path) -> None:
    write_song(tmp_path / "song.flac")
    made, rate = soundfile.read(tmp_path / "song.flac", dtype="float64")
    shipped, shipped_rate = soundfile.read(DATA / "song.flac", dtype="float64")
    assert (rate, len(made)) == (shipped_rate, len(shipped)) == (RATE, DEMO_SONG.seconds * RATE)
    # Other processors may round a sample the other way.
    assert np.abs(made - shipped).max() <= 2 / 2**15
    assert DEMO_SONG.style == SONG_STYLE
