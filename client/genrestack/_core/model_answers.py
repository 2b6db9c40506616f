"""What a server says of its models, from bytes: parsed, held to the request and to itself, and made plain data."""

import math
from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import chain
from typing import Final

from genrestack._core.answers import LONGEST_TEXT, check_names, check_source, parsed
from genrestack._core.request import ModelSpec
from genrestack.errors import ProtocolError
from genrestack.model_info import ModelInfo
from genrestack.prediction import Prediction
from genrestack_proto.v1 import model_pb2
from genrestack_proto.v1 import prediction_pb2 as pb

MOST_BYTES: Final = 16 * 2**20
"""As many as a bundle's manifest may have."""
MOST_MODELS: Final = 10_000
MOST_ENTRIES: Final = 100_000
"""Features, classes and parts of a model, and entries of each of its tables of words."""
_MOST_POWER: Final = 9
"""Of a gain that a feature grows with; published columns grow with its square at most."""


def read_models(data: bytes) -> list[ModelInfo]:
    """Parse and verify a list of models.

    Raises:
        ProtocolError: it is not such a list, too long, or contradicts itself.

    """
    answer = parsed(pb.ListModelsResponse, data, MOST_BYTES)
    _check_count(len(answer.models), "models", MOST_MODELS)
    for model in answer.models:
        _check(model)
    if len({(model.name, model.version) for model in answer.models}) != len(answer.models):
        raise ProtocolError("the answer lists one version of a model twice")
    return [ModelInfo.from_message(model) for model in answer.models]


def read_model(data: bytes, wanted: ModelSpec) -> ModelInfo:
    """Parse and verify the full description of one model.

    Raises:
        ProtocolError: it is not such a description, of another model, too long, or contradicts itself.

    """
    model = parsed(pb.GetModelResponse, data, MOST_BYTES).model
    _check(model)
    if wanted.model not in ("", model.name) or wanted.version not in (0, model.version):
        raise ProtocolError(
            f"{wanted.model}/{wanted.version or 'newest'} was asked for, but {model.name}/{model.version} is described"
        )
    if not model.features or not model.classes:
        raise ProtocolError(f"{model.name}/{model.version} is described without features or without classes")
    return ModelInfo.from_message(model)


def check_described(info: ModelInfo, prediction: Prediction) -> None:
    """Raise ProtocolError if a model answers with other classes than it is described with."""
    if prediction.classes != info.classes:
        raise ProtocolError(f"{info.name}/{info.version} answered with other classes than it is described with")


def check_parts(described: Sequence[str], prediction: Prediction) -> None:
    """Raise ProtocolError if other base estimators answer than a model is described with."""
    if list(prediction.base) != list(described):
        raise ProtocolError("other base estimators answered than the model is described with")


def _check(model: model_pb2.Model) -> None:
    check_source(model.name, model.version)
    tables: tuple[Sized, ...] = (
        model.metrics, model.provenance.library_versions, model.runtime.provider_options,
        model.runtime.nodes_by_provider, model.runtime.native_parts,
        *(part.parameters for part in model.parts[:MOST_ENTRIES]),
    )  # fmt: skip
    for count in (len(model.features), len(model.classes), len(model.parts), *map(len, tables)):
        _check_count(count, "entries of one kind")
    check_names(model.classes, "class")
    check_names([feature.name for feature in model.features], "feature")
    check_names([part.name for part in model.parts], "part")
    if any(len(text) > LONGEST_TEXT for text in _texts(model)):
        raise ProtocolError(f"the description of {model.name} has a text of more than {LONGEST_TEXT:,} characters")
    _check_ranges(model)
    if model.HasField("novelty") and not 0 < model.novelty.threshold < math.inf:
        raise ProtocolError(f"the description of {model.name} has a threshold of novelty that cannot be")
    for parity in (model.parity, model.runtime.parity):
        _check_parity(model.name, parity)
    if not all(map(math.isfinite, model.metrics.values())):
        raise ProtocolError(f"the description of {model.name} has a figure that is not a number")


def _check_count(count: int, what: str, most: int = MOST_ENTRIES) -> None:
    if count > most:
        raise ProtocolError(f"the answer has {count:,} {what}, where {most:,} may be")


def _check_ranges(model: model_pb2.Model) -> None:
    for feature in model.features:
        _check_range(model.name, feature)
        _check_range(model.name, feature.gain)
    steps = [feature.gain for feature in model.features if feature.HasField("gain")]
    known = model.gain_feature in {feature.name for feature in model.features}
    if steps and not (known and 0 <= model.gain_silence < math.inf):
        raise ProtocolError(f"the description of {model.name} has a gain of no feature of its own")
    if not all(math.isfinite(step.shift) and step.power <= _MOST_POWER for step in steps):
        raise ProtocolError(f"the description of {model.name} has a feature that follows the gain as none can")


def _check_range(name: str, seen: model_pb2.Feature | model_pb2.Gain) -> None:
    low = seen.seen_min if seen.HasField("seen_min") else None
    high = seen.seen_max if seen.HasField("seen_max") else None
    ends = [end for end in (low, high) if end is not None]
    if not all(map(math.isfinite, ends)) or ends != sorted(ends):
        raise ProtocolError(f"the description of {name} has a feature of the range {low} to {high}")


def _check_parity(name: str, parity: model_pb2.Parity) -> None:
    numbers = (parity.max_abs_difference, parity.tolerance)
    if parity.labels_agreed > parity.rows or not all(0 <= number < math.inf for number in numbers):
        raise ProtocolError(f"the description of {name} has a parity check that cannot be")


def _texts(model: model_pb2.Model) -> Iterator[str]:
    provenance, runtime = model.provenance, model.runtime
    yield from (model.novelty.held_out, model.extractor.kind, model.extractor.sha256)
    yield from (provenance.data_sha256, provenance.created, provenance.preset, provenance.split, runtime.provider)
    for part in model.parts:
        yield from (part.estimator, part.sha256)
        yield from _both(part.parameters.items())
    yield from _both(provenance.library_versions.items())
    yield from _both(runtime.provider_options.items())
    yield from _both(runtime.native_parts.items())
    yield from model.metrics
    yield from runtime.nodes_by_provider


def _both(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    return chain.from_iterable(entries)
