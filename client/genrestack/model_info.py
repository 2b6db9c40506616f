"""What a served model is, as plain frozen data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from genrestack.display.accuracy import accuracy_text
from genrestack.display.notebook import html_table
from genrestack_common.text import counted, listed, printable
from genrestack_proto.v1 import model_pb2

__all__ = [
    "ExtractorInfo",
    "FeatureInfo",
    "GainInfo",
    "Health",
    "ModelInfo",
    "NoveltyInfo",
    "ParityInfo",
    "PartInfo",
    "ProvenanceInfo",
]


@dataclass(frozen=True)
class GainInfo:
    """How a feature follows a row's gain g, of a model that divides it out: v / g**power - shift * 20 * log10(g)."""

    power: int
    shift: float
    seen_min: float | None = None
    """Smallest value among the training rows with the gain divided out; None where it is not known."""
    seen_max: float | None = None
    """Largest value, likewise."""


@dataclass(frozen=True)
class FeatureInfo:
    """One column of a row."""

    name: str
    seen_min: float | None
    """Smallest value among the training rows, unscaled; None where it is not known."""
    seen_max: float | None
    """Largest value, likewise."""
    accepts_missing: bool = False
    """Whether a row may lack this value: NaN, None or an empty cell."""
    gain: GainInfo | None = None
    """How it follows the gain; None where it does not, or the model does not divide it out."""
    mean: float | None = None
    """Mean of the training rows, unscaled; None where it is not known."""
    standard_deviation: float | None = None
    """Their standard deviation (divided by n), likewise."""


@dataclass(frozen=True)
class PartInfo:
    """One part of the stack: the scaler, a base estimator or the meta-learner."""

    name: str
    kind: str
    """`scaler`, `base` or `meta`."""
    estimator: str
    """Class of the original, such as `sklearn.svm.SVC`."""
    parameters: Mapping[str, str]
    sha256: str


@dataclass(frozen=True)
class ParityInfo:
    """How far the exported graphs were from the original estimators."""

    rows: int
    """Rows compared, ties left out."""
    labels_agreed: int
    """Of these, rows with the same label on both sides."""
    ties: int
    """Rows left out because their nearest neighbours tie exactly with different labels."""
    max_abs_difference: float
    """Largest |Δp| of the whole stack."""
    tolerance: float


@dataclass(frozen=True)
class ProvenanceInfo:
    """Where a model came from."""

    data_sha256: str
    row_count: int
    library_versions: Mapping[str, str]
    seed: int | None
    created: str
    """RFC 3339, UTC."""
    preset: str
    split: str


@dataclass(frozen=True)
class NoveltyInfo:
    """From which distance from its training rows on a model calls a song novel."""

    threshold: float
    """Songs whose mean novelty over windows is above it are unlike anything in the training."""
    songs: int
    """Songs of the training that it was found with."""
    share_above: float
    """Share of these above it."""
    held_out: str
    """What was left out with a song as a whole: `artist`, `track` or `row`."""


@dataclass(frozen=True)
class ExtractorInfo:
    """What computed the features from recordings."""

    kind: str
    """`tags`, the probabilities of a tagger, or `spectral+tags`, the 57 numbers and these."""
    sha256: str
    """Of the tagger's file."""


@dataclass(frozen=True, repr=False)
class ModelInfo:
    """One version of a served model.

    `Client.models` leaves `features` and `parts` empty; `Client.model` fills them in.
    """

    name: str
    version: int
    features: tuple[FeatureInfo, ...]
    classes: tuple[str, ...]
    parts: tuple[PartInfo, ...]
    passthrough: bool
    """Whether the meta-learner sees the scaled features too."""
    precision: str
    """`single` or `double`."""
    parity: ParityInfo
    """Measured when the model was exported."""
    served_parity: ParityInfo
    """Golden rows, measured by the server under `provider` when it loaded the model."""
    metrics: Mapping[str, float]
    """Figures of the training run: `accuracy`, `accuracy.knn` …; empty if there are none."""
    provenance: ProvenanceInfo
    state: str
    """`ready`, `loading` or `failed`."""
    provider: str
    """onnxruntime execution provider that really runs."""
    provider_options: Mapping[str, str]
    nodes_by_provider: Mapping[str, int]
    """How many of the graph's nodes each provider runs, most first; empty where the server does not say."""
    native_parts: Mapping[str, str]
    """Base estimators that a native operator answers for in place of their graphs, each with its instruction set."""
    threads: int
    """Threads of one run."""
    default: bool
    """Whether this version answers when none is named."""
    gain_feature: str = ""
    """The feature that says how loud a row is, where the model divides its gain out; else empty."""
    gain_silence: float = 0.0
    """A row of at most this gain is silence, and keeps its values."""
    novelty: NoveltyInfo | None = None
    """None where the model cannot tell how far rows are from its training."""
    extractor: ExtractorInfo | None = None
    """None where the training table did not say it, as those of the 57 numbers do not."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns, in the model's own order."""
        return tuple(feature.name for feature in self.features)

    @property
    def missing_features(self) -> frozenset[str]:
        """Names of the columns in which a row may lack a value."""
        return frozenset(feature.name for feature in self.features if feature.accepts_missing)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain dicts, lists, text and numbers, ready for JSON."""
        return asdict(self)

    def __repr__(self) -> str:
        accuracy = accuracy_text(self.metrics, self.provenance.split)
        parts = [
            counted(len(self.features), "feature") if self.features else "",
            f"{len(self.classes):,} class{'' if len(self.classes) == 1 else 'es'}",
            f"accuracy {accuracy}" if accuracy else "",
            "" if self.state == "ready" else self.state,
        ]
        return f"<ModelInfo of {printable(self.name)}/{self.version}: {', '.join(filter(None, parts))}>"

    def _repr_html_(self) -> str:
        parity, fitted = self.served_parity, self.provenance.row_count
        rows = [
            ("accuracy", accuracy_text(self.metrics, self.provenance.split) or "not measured"),
            ("classes", listed(self.classes)),
            ("features", f"{len(self.features):,}: {listed(self.feature_names, 5)}" if self.features else ""),
            ("parts", listed(f"{part.name} ({part.estimator})" for part in self.parts)),
            ("verified here", f"{parity.labels_agreed:,} of {parity.rows:,} labels" if parity.rows else ""),
            ("runs on", f"{self.provider}, {self.precision} precision"),
            ("made", self.provenance.created + (f", of {counted(fitted, 'row')}" if fitted else "")),
        ]
        return html_table(f"{self.name}/{self.version}", (), [row for row in rows if row[1]])

    @classmethod
    def from_message(cls, model: model_pb2.Model) -> "ModelInfo":
        """Read the wire's message."""
        runtime = model.runtime
        return cls(
            name=model.name,
            version=model.version,
            features=tuple(_feature(f) for f in model.features),
            classes=tuple(model.classes),
            parts=tuple(_part(p) for p in model.parts),
            passthrough=model.passthrough,
            precision=_word(model_pb2.Precision, model.precision),
            parity=_parity(model.parity),
            served_parity=_parity(runtime.parity),
            metrics=dict(sorted(model.metrics.items())),
            provenance=_provenance(model.provenance),
            state=_word(model_pb2.ModelState, runtime.state),
            provider=runtime.provider,
            provider_options=dict(sorted(runtime.provider_options.items())),
            nodes_by_provider=dict(sorted(runtime.nodes_by_provider.items(), key=lambda entry: -entry[1])),
            native_parts=dict(sorted(runtime.native_parts.items())),
            threads=runtime.intra_op_threads,
            default=runtime.default_version,
            gain_feature=model.gain_feature,
            gain_silence=model.gain_silence,
            novelty=_novelty(model.novelty) if model.HasField("novelty") else None,
            extractor=_extractor(model.extractor) if model.HasField("extractor") else None,
        )


def _feature(feature: model_pb2.Feature) -> FeatureInfo:
    return FeatureInfo(
        feature.name,
        feature.seen_min if feature.HasField("seen_min") else None,
        feature.seen_max if feature.HasField("seen_max") else None,
        feature.accepts_missing,
        _gain(feature.gain) if feature.HasField("gain") else None,
        feature.mean if feature.HasField("mean") else None,
        feature.standard_deviation if feature.HasField("standard_deviation") else None,
    )


def _gain(gain: model_pb2.Gain) -> GainInfo:
    return GainInfo(
        gain.power,
        gain.shift,
        gain.seen_min if gain.HasField("seen_min") else None,
        gain.seen_max if gain.HasField("seen_max") else None,
    )


def _part(part: model_pb2.Part) -> PartInfo:
    kind = _word(model_pb2.PartKind, part.kind)
    return PartInfo(part.name, kind, part.estimator, dict(sorted(part.parameters.items())), part.sha256)


def _novelty(novelty: model_pb2.Novelty) -> NoveltyInfo:
    return NoveltyInfo(novelty.threshold, novelty.songs, novelty.share_above, novelty.held_out)


def _extractor(extractor: model_pb2.Extractor) -> ExtractorInfo:
    return ExtractorInfo(extractor.kind, extractor.sha256)


def _parity(parity: model_pb2.Parity) -> ParityInfo:
    return ParityInfo(parity.rows, parity.labels_agreed, parity.ties, parity.max_abs_difference, parity.tolerance)


def _provenance(provenance: model_pb2.Provenance) -> ProvenanceInfo:
    return ProvenanceInfo(
        data_sha256=provenance.data_sha256,
        row_count=provenance.row_count,
        library_versions=dict(sorted(provenance.library_versions.items())),
        seed=provenance.seed if provenance.HasField("seed") else None,
        created=provenance.created,
        preset=provenance.preset,
        split=provenance.split,
    )


# The generated enums share no public type.
def _word(enum: Any, number: int) -> str:
    try:
        constant: str = enum.Name(number)
    except ValueError:  # a newer server's value
        return str(number)
    return constant.rsplit("_", 1)[-1].lower()


class Health(StrEnum):
    """Answer of `grpc.health.v1`; compares equal to its name."""

    SERVING = "SERVING"
    """At least one model (or the model asked about) is verified, warm and answering."""
    NOT_SERVING = "NOT_SERVING"
    """Starting, draining, or nothing is loaded."""
    UNKNOWN = "UNKNOWN"
    """The server does not know the service asked about, or does not say."""
