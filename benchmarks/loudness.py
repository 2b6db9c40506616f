"""What a song's volume does to its answer, with its gain divided out and without: `python -m benchmarks.loudness`.

On inner folds of the preset's search alone. Windows of the table are turned up and down by what a gain does to its
columns; recordings really are, and their features computed anew.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import numpy.typing as npt

from benchmarks.contestants.prepared import REAL_TABLE
from benchmarks.inner_folds import ARTISTS, InnerFit, counts, difference, inner_fits, partition
from genrestack_training import Settings, resolve_settings

DECIBELS: Final = (0, -3, 3, -6, 6, -12, -20)
VARIANTS: Final = {"before": "off", "after": "on"}
"""What the setting `normalize_gain` is."""
_SLACK: Final = 0.01
"""How far outside a seen range still counts as inside, in widths of it, as the client has it."""
_SQUARED: Final = ("rms_var", "harmony_var", "perceptr_var")
_LINEAR: Final = ("rms_mean", "harmony_mean", "perceptr_mean")
_BANDS: Final = 128

Rows = npt.NDArray[np.float64]
Told = Mapping[str, Any]


@click.command()
@click.option("--table", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=REAL_TABLE,
              help="The 3-second GTZAN table; by default where the tests find it.")  # fmt: skip
@click.option("--artists", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=ARTISTS,
              help="CSV of its artists.")  # fmt: skip
@click.option("--clips", type=click.Path(exists=True, file_okay=False, path_type=Path),
              default=REAL_TABLE.parent / "audio", help="Folder of recordings that are turned.")  # fmt: skip
@click.option("--preset", default="best", show_default=True, help="The preset.")
@click.option("--epochs", type=click.IntRange(min=1), help="Fewer epochs of the network: to try.")
@click.option("--jobs", type=click.IntRange(min=1), help="Fits at once.")
def main(table: Path, artists: Path, clips: Path, preset: str, epochs: int | None, jobs: int | None) -> None:
    """Print answers by decibels, before and after the gain is divided out, and what that costs by artist."""
    cut = partition(table, artists, "artist")
    names = list(cut.table.feature_names)
    recorded = clip_rows(clips)
    told = {}
    for name, gain in VARIANTS.items():
        settings = resolve_settings(preset, epochs=epochs, normalize_gain=gain)
        fits = list(inner_fits(cut, artists, settings, jobs))
        told[name] = measured(fits, cut, names, recorded, settings)
    click.echo(volume_table(told))
    click.echo(clip_table(told))
    for level in ("windows", "songs"):
        after, above = difference(told["after"][level], told["before"][level])
        click.echo(f"by artist, {level}: {after}, above before {_points(above)} points")


def measured(
    fits: Sequence[InnerFit], cut: Any, names: Sequence[str], recorded: Mapping[int, Rows], settings: Settings
) -> Told:
    """Ask every fit about its held-out windows and the clips at every gain."""
    by_gain: dict[int, list[Rows]] = {decibels: [] for decibels in DECIBELS}
    clips: dict[int, list[Rows]] = {decibels: [] for decibels in recorded}
    outside: dict[int, list[Any]] = {decibels: [] for decibels in DECIBELS}
    truth: list[Any] = []
    right: dict[str, list[Any]] = {"windows": [], "songs": []}
    for fit in fits:
        rows = cut.table.features
        held = rows[fit.held]
        training = np.flatnonzero(~np.isin(cut.folds, (0, cut.folds[fit.held[0]])))
        for decibels in DECIBELS:
            turned = turn(held, names, decibels)
            by_gain[decibels].append(fit.answers(turned))
            outside[decibels].append(beyond(fit, rows[training], turned, settings))
        for decibels, clip in recorded.items():
            clips[decibels].append(fit.answers(clip))
        truth.append(cut.codes[fit.held])
        for level, kept in right.items():
            kept.append(counts(cut, fit.held, by_gain[0][-1], level))
    return {
        "answers": {d: np.concatenate(answers) for d, answers in by_gain.items()},
        "clips": {d: np.concatenate(answers) for d, answers in clips.items()},
        "outside": {d: float(np.concatenate(flags).mean()) for d, flags in outside.items()},
        "truth": np.concatenate(truth),
        **right,
    }


def turn(rows: Rows, names: Sequence[str], decibels: float) -> Rows:
    """Return windows as they would be of a recording turned up by so much."""
    gain, turned = 10 ** (decibels / 20), rows.copy()
    for columns, factor in ((_LINEAR, gain), (_SQUARED, gain**2)):
        turned[:, [names.index(column) for column in columns]] *= factor
    turned[:, names.index("mfcc1_mean")] += np.sqrt(_BANDS) * decibels
    return turned


def beyond(fit: InnerFit, training: Rows, rows: Rows, settings: Settings) -> Any:
    """Return which windows have a feature outside the training rows' ranges, both behind the step if there is one."""
    step = fit.scaler.steps[0][1] if settings.scaler.normalize_gain == "on" else None
    seen, asked = (side if step is None else step.transform(side) for side in (training, rows))
    low, high = seen.min(axis=0), seen.max(axis=0)
    width = np.where(high > low, high - low, np.maximum(np.abs(high), 1e-300))
    return (np.maximum(low - asked, asked - high) / width > _SLACK).any(axis=1)


def clip_rows(folder: Path) -> dict[int, Rows]:
    """Compute the features of every window of the recordings at every gain, by decibels."""
    from genrestack_audio import extract_windows, open_sound

    rows: dict[int, list[Rows]] = {decibels: [] for decibels in DECIBELS}
    for path in sorted(folder.glob("*.wav")):
        click.echo(f"features: {path.name} …", err=True)
        with open_sound(path) as sound:
            samples = np.concatenate(list(sound.blocks()))
        for decibels, kept in rows.items():
            kept.append(extract_windows(samples * np.float32(10 ** (decibels / 20)), 22_050))
    return {decibels: np.concatenate(kept) for decibels, kept in rows.items() if kept}


def volume_table(told: Mapping[str, Told]) -> str:
    """Write the table of held-out windows by decibels."""
    lines = [
        "| dB | accuracy | answers changed | confidence | windows out of range |",
        "|---|---|---|---|---|",
    ]
    for decibels in DECIBELS:
        cells = [
            " → ".join(cell(told[variant], decibels) for variant in VARIANTS)
            for cell in (_accuracy, _changed, _confidence, _outside)
        ]
        lines.append(f"| {decibels:+d} | {' | '.join(cells)} |")
    return "\n".join([f"{len(told['before']['truth']):,} held-out windows, before → after", "", *lines, ""])


def clip_table(told: Mapping[str, Told]) -> str:
    """Write the table of recordings by decibels."""
    lines = ["| dB | answers to windows changed |", "|---|---|"]
    for decibels in DECIBELS:
        cells = [f"{_share(told[variant]['clips'], decibels):.1%}" for variant in VARIANTS]
        lines.append(f"| {decibels:+d} | {' → '.join(cells)} |")
    asked = len(told["before"]["clips"][0])
    return "\n".join(
        [f"{asked:,} answers to windows of recordings really turned up and down, before → after", "", *lines, ""]
    )


def _share(answers: Mapping[int, Rows], decibels: int) -> float:
    return float(np.mean(answers[decibels].argmax(axis=1) != answers[0].argmax(axis=1)))


def _accuracy(told: Told, decibels: int) -> str:
    return f"{np.mean(told['answers'][decibels].argmax(axis=1) == told['truth']):.3f}"


def _changed(told: Told, decibels: int) -> str:
    return f"{_share(told['answers'], decibels):.1%}"


def _confidence(told: Told, decibels: int) -> str:
    return f"{told['answers'][decibels].max(axis=1).mean():.2f}"


def _outside(told: Told, decibels: int) -> str:
    return f"{told['outside'][decibels]:.1%}"


def _points(above: Any) -> str:
    return f"{100 * above.mean:+.1f} [{100 * above.low:+.1f}, {100 * above.high:+.1f}]"


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.loudness")
