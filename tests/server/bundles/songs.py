"""A small model that does all with its training rows that a server can tell: nearest rows, novelty, drift."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import StackingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from genrestack_export import GainNormalizer, export_stack
from genrestack_export.gain import GAIN_COLUMNS
from genrestack_training.evaluation.novelty import novelty_scale

SONG_FEATURES = (*GAIN_COLUMNS, "tempo", "key")
TRAINED = 400
_KEYS = np.array([0.0, 0.1, 0.7])


def draw_songs(count: int, seed: int, drift: float = 0.0) -> npt.NDArray[np.float64]:
    """Rows of two classes in turn; `drift` moves the tempo, and the keys' shares."""
    rng = np.random.default_rng(seed)
    rows = rng.gamma(8.0, 0.1, (count, len(SONG_FEATURES))) * (1 + np.arange(count) % 2)[:, None]
    rows[:, SONG_FEATURES.index("tempo")] += drift
    rows[:, SONG_FEATURES.index("key")] = rng.choice(_KEYS, count, p=[0.75 - drift / 2, 0.2, 0.05 + drift / 2])
    return rows


def write_songs(models_dir: Path) -> Path:
    """Write a version of `songs`: it divides the gain out, lets the tempo be missing, and measures novelty."""
    training = draw_songs(TRAINED, 0)
    labels = np.array(["organ", "bänd"])[np.arange(len(training)) % 2]
    scaler = make_pipeline(GainNormalizer(SONG_FEATURES), SimpleImputer(), MinMaxScaler()).fit(training)
    stack = StackingClassifier([("knn", KNeighborsClassifier(weights="distance"))], LogisticRegression(), cv=2)
    stack.fit(scaler.transform(training), labels)
    knn, songs = stack.named_estimators_["knn"], np.arange(len(training)) // 4
    scale = novelty_scale(knn._fit_X, knn._y, songs, songs, unit="track")
    return export_stack(
        stack, scaler, feature_names=SONG_FEATURES, reference_rows=draw_songs(30, 1), training_rows=training,
        models_dir=models_dir, name="songs", accepts_missing=["tempo"], neighbors=True, novelty=scale,
    )  # fmt: skip
