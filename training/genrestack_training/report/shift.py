"""How far a collection lies from what a model was trained on: in words, as a chart, as a table."""

from collections.abc import Iterator, Sequence

from genrestack_common.text import listed
from genrestack_training.data.groups.grouping import UNITS
from genrestack_training.evaluation.shift import NOTABLE, FeatureShift
from genrestack_training.report import charts
from genrestack_training.report.page import Exhibit, Grid, Section
from genrestack_training.report.text import clean, decimal, share, signed, with_interval
from genrestack_training.served.collection import CollectionEvaluation

_WORDS = {
    "rms_mean": ("louder", "quieter"),
    "spectral_centroid_mean": ("brighter", "darker"),
    "tempo": ("faster", "slower"),
    "rms_var": ("less even in level", "more even in level"),
    "zero_crossing_rate_mean": ("noisier", "less noisy"),
    "perceptr_var": ("more percussive", "less percussive"),
}
"""Features that say something to the ear: more of it, less of it."""
_TITLES = {"rms_mean": "rms", "spectral_centroid_mean": "centroid", "zero_crossing_rate_mean": "zero crossings"}
_MOST, _DRAWN = 5, 20


def shift_sentences(found: CollectionEvaluation) -> Iterator[str]:
    """Yield what a reader should know of the collection as a whole, a sentence or two each."""
    shift = found.shift
    if shift.distance is not None:
        yield _as_a_whole(found)
    else:
        yield (
            f"{found.model} does not tell the means of its training rows (it was exported without them), so the "
            "collection is compared with their ranges alone. Export the run again to compare means."
        )
    if shift.outside is not None:
        worst = max(shift.features, key=lambda f: (f.below or 0) + (f.above or 0))
        most = (worst.below or 0) + (worst.above or 0)
        side = "below" if (worst.below or 0) > (worst.above or 0) else "above"
        where = f", most often {clean(worst.name)} ({share(most)}, mostly {side})" if most else ""
        yield f"{share(shift.outside)} of the rows have a feature outside the range of the training rows{where}."


def _as_a_whole(found: CollectionEvaluation) -> str:
    notable = found.shift.notable()
    if not notable:
        return (
            f"As a whole the collection is like what the model knows: no feature's mean lies {NOTABLE} standard "
            f"deviations off, beyond what the choice of {found.shift.groups} {_units(found)} makes."
        )
    audible = [f for f in notable if f.name in _WORDS]
    words = [_WORDS[f.name][_value(f) < 0] for f in audible]
    what = f"{_joined(words)} than" if words else "different from"
    others = [f for f in notable if f not in audible]
    shown = audible or others[:_MOST]
    text = f"As a whole the collection is {what} what the model knows: {', '.join(map(_in_sd, shown))}."
    if audible and others:
        count = len(others)
        text += f" {count} more {'feature lies' if count == 1 else 'features lie'} off, furthest {_in_sd(others[0])}."
    return text


def _units(found: CollectionEvaluation) -> str:
    return UNITS[found.evaluation.interval_unit]


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _in_sd(feature: FeatureShift) -> str:
    return f"{_TITLES.get(feature.name, clean(feature.name))} {signed(_value(feature), 1)} sd"


def _value(feature: FeatureShift) -> float:
    return 0.0 if feature.shift is None else feature.shift.value


def shift_section(found: CollectionEvaluation) -> Section:
    """Return the section on the collection and the training rows."""
    shift = found.shift
    known = [f for f in shift.features if f.shift is not None]
    rows = tuple(
        (clean(f.name), with_interval(f.shift, 2), *("–" if s is None else share(s) for s in (f.below, f.above)))
        for f in shift.features
    )
    head = ("Feature", "Shift in standard deviations", "Rows below the range", "Rows above it")
    lines = [*shift_sentences(found)]
    if not known:
        return Section(
            "shift", _TITLE, tuple(lines), (Exhibit(grid=Grid("Rows outside the training rows' ranges", head, rows)),)
        )
    lines.append(
        "A shift is the collection's mean less that of the training rows, in standard deviations of the training rows; "
        f"its 95 % interval is over {shift.groups} {_units(found)}. Over all features the root mean square is "
        f"{decimal(shift.distance, 2)}. Other genres in other shares shift a collection too."
    )
    drawn = sorted(known, key=lambda f: -abs(_value(f)))[:_DRAWN]
    summary = listed([f"{clean(f.name)} {signed(_value(f), 2)}" for f in drawn], _MOST)
    chart = charts.whiskers(
        "shift-features",
        f"The features whose means lie furthest from the training rows': {summary}.",
        [charts.Whisker(clean(f.name), f.shift, strong=f.notable) for f in drawn if f.shift is not None],
        axis="shift of the mean, in standard deviations of the training rows",
        zero=True,
    )
    return Section("shift", _TITLE, tuple(lines), (Exhibit(chart=chart, grid=Grid("Every feature", head, rows)),))


_TITLE = "The collection and the training rows"
