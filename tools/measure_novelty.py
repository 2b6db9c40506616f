"""Measure how well novelty tells songs unlike the training: `tools/measure_novelty.py TABLE [GROUPS] [--clips DIR]`.

With a table of genres, each genre in turn is left out of the training; of the others, a fifth of the groups is held
out. With `--clips`, a model's scale is made of the table, a fifth of its songs held out, and recordings of a
folder are what is unlike it. For both: the AUC per song (held-out songs of known kinds against the others), and the
share of each that would be warned about.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import MinMaxScaler

from genrestack_training import load_table, read_groups
from genrestack_training.data.groups.grouping import find_grouping
from genrestack_training.data.splits import grouped_folds
from genrestack_training.evaluation.novelty import novelty_scale, song_means

SEED = 42


def measure(
    training: np.ndarray,
    labels: np.ndarray,
    songs: np.ndarray,
    groups: np.ndarray,
    tests: Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[float, list[np.ndarray]]:
    """Return the threshold found on training rows, and the novelty of each song of each test side (rows, songs)."""
    scaler = MinMaxScaler().fit(training)
    scale = novelty_scale(scaler.transform(training), labels, songs, groups)
    if scale is None:
        raise SystemExit("the training side has too few songs")
    found = [song_means(scale.measure(scaler.transform(rows)), of_songs) for rows, of_songs in tests]
    return scale.manifest.threshold, found


def leave_one_genre_out(features: np.ndarray, labels: np.ndarray, songs: np.ndarray, groups: np.ndarray) -> None:
    """Print a line for each genre, and the mean over all."""
    figures = []
    for genre in np.unique(labels):
        inside = np.flatnonzero(labels != genre)
        outside = np.flatnonzero(labels == genre)
        training, test = (inside[side] for side in grouped_folds(labels[inside], groups[inside], 5, SEED, "groups")[0])
        # An artist of the genre that is left out may have songs of others.
        training = training[~np.isin(groups[training], groups[outside])]
        tests = [(features[rows], songs[rows]) for rows in (test, outside)]
        threshold, (known, novel) = measure(
            features[training], labels[training], songs[training], groups[training], tests
        )
        warned = [float((side > threshold).mean()) for side in (known, novel)]
        auc = auc_of(known, novel)
        figures.append((auc, *warned))
        print(f"{genre:12} AUC {auc:.3f}, warned of: known {warned[0]:.3f}, left out {warned[1]:.3f}", flush=True)
    auc, known_share, novel_share = np.mean(figures, axis=0)
    print(f"{'mean':12} AUC {auc:.3f}, warned of: known {known_share:.3f}, left out {novel_share:.3f}")


def against_clips(
    features: np.ndarray, names: Sequence[str], labels: np.ndarray, songs: np.ndarray, groups: np.ndarray, clips: Path
) -> None:
    """Print the same for recordings of a folder against the table's own songs."""
    from genrestack.songs.recording import find_songs
    from genrestack_audio import FEATURE_NAMES, read_segments

    rows, of_clip = [], []
    for number, path in enumerate(find_songs(clips)):
        windows = np.stack([segment.features for segment in read_segments(path)])
        rows.append(windows[:, [FEATURE_NAMES.index(name) for name in names]])
        of_clip += [number] * len(windows)
    training, test = grouped_folds(labels, groups, 5, SEED, "groups")[0]
    tests = [(features[test], songs[test]), (np.concatenate(rows), np.array(of_clip))]
    threshold, (known, novel) = measure(features[training], labels[training], songs[training], groups[training], tests)
    print(
        f"{len(novel)} clips against {len(known)} songs: AUC {auc_of(known, novel):.3f}, warned of: known "
        f"{(known > threshold).mean():.3f}, clips {(novel > threshold).mean():.3f}; threshold "
        f"{threshold:.2f}, clips from {novel.min():.2f} to {novel.max():.2f}"
    )


def auc_of(known: np.ndarray, novel: np.ndarray) -> float:
    """Return the AUC of novelty as what tells the two apart."""
    truth = np.repeat([0, 1], [len(known), len(novel)])
    return float(roc_auc_score(truth, np.concatenate([known, novel])))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("groups", type=Path, nargs="?")
    parser.add_argument("--clips", type=Path)
    options = parser.parse_args()
    table = load_table(options.table)
    grouping = find_grouping(table, None if options.groups is None else read_groups(options.groups))
    songs, groups = grouping.groups("track"), grouping.groups(grouping.honest_unit)
    labels = np.asarray(table.labels)
    if options.clips is None:
        leave_one_genre_out(table.features, labels, songs, groups)
    else:
        against_clips(table.features, table.feature_names, labels, songs, groups, options.clips)


if __name__ == "__main__":
    main()
