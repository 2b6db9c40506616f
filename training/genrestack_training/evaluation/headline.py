"""Headline metrics of a model, by name, and the sentences that explain why splits differ."""

from collections.abc import Sequence

from genrestack_training.evaluation.results import Evaluation, Figure

_SHORT = {
    "balanced_accuracy": "accuracy.balanced",
    "macro_f1": "f1.macro",
    "log_loss": "log_loss",
    "brier": "brier",
    "ece": "ece",
    "top2": "accuracy.top2",
}
SPLIT_PHRASES = {"random": "at random", "track": "by recording", "artist": "by artist", "collection": "by collection"}


def headline(
    evaluation: Evaluation | None, comparisons: Sequence[Evaluation], cross_validation: Evaluation | None
) -> dict[str, float]:
    """Return the headline figures by name.

    "accuracy", "accuracy.lower", "accuracy.upper", "accuracy.song", "accuracy.knn", …, "f1.macro" are of the exported
    model; "accuracy.track_split" is of the same stack fitted on another split, "accuracy.track_folds" cross-validated.
    """
    found: dict[str, float] = {}
    if evaluation is not None:
        stack = evaluation.models["stack"]
        found |= _accuracy("accuracy", evaluation)
        found |= {f"accuracy.{name}": value for name, value in evaluation.base_accuracy.items()}
        found |= {short: stack.rows[name].value for name, short in _SHORT.items()}
    for other in comparisons:
        found |= _accuracy(f"accuracy.{other.split}_split", other)
    if cross_validation is not None:
        found |= _accuracy(f"accuracy.{cross_validation.split}_folds", cross_validation)
    return found


def _accuracy(name: str, evaluation: Evaluation) -> dict[str, float]:
    figure: Figure = evaluation.models["stack"].rows["accuracy"]
    values = {name: figure.value, f"{name}.lower": figure.lower, f"{name}.upper": figure.upper}
    values[f"{name}.song"] = evaluation.song_accuracy
    return {key: value for key, value in values.items() if value is not None}


def contrast(
    evaluation: Evaluation | None, comparisons: Sequence[Evaluation], cross_validation: Evaluation | None
) -> str:
    """Explain in two sentences why a random split's accuracy differs from grouped ones; "" if there are not both."""
    others = [*comparisons, *([cross_validation] if cross_validation else [])]
    every = [e for e in ([evaluation] if evaluation else []) + others if e.split in SPLIT_PHRASES]
    random = [e for e in every if e.split == "random"]
    grouped = [e for e in every if e.split != "random"]
    if not random or not grouped:
        return ""
    figures = ", ".join(f"{e.accuracy:.3f} {SPLIT_PHRASES[e.split]}" for e in grouped)
    return (
        f"Accuracy is {random[0].accuracy:.3f} with rows held out at random and {figures}: a random split leaves "
        "other windows of the same recordings, or other recordings of the same artists, among the fitted rows, so that "
        "its accuracy is in part recognition of what was already heard. For music that the model has not heard, go by "
        f"{grouped[-1].accuracy:.3f}."
    )
