"""What `metrics.json` holds, version by version of its form."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genrestack_training.evaluation.introspection import Introspection
from genrestack_training.evaluation.results import Evaluation
from genrestack_training.run.json_codec import from_json, json_schema, to_json
from genrestack_training.run.run import Provenance, Run

FORMAT = 2
"""Raised when a reader of the old form would misread the new one."""


@dataclass(frozen=True)
class RunRecord:
    """The record of a run: results, settings and provenance."""

    format: int
    name: str
    metrics: Mapping[str, float]
    """Headline metrics, as they go into the model's manifest."""
    contrast: str
    """Why a random split's figure differs from a grouped one's; "" if there are not both."""
    evaluation: Evaluation | None
    """Of the exported model; null if it has fitted every row."""
    comparisons: tuple[Evaluation, ...]
    """Of the same stack fitted on other splits."""
    cross_validation: Evaluation | None
    insight: Introspection
    classes: tuple[str, ...]
    feature_names: tuple[str, ...]
    reference_made: bool
    """True if the reference rows were synthesised from training rows, because every row was fitted."""
    provenance: Provenance
    settings: Mapping[str, Any]

    @classmethod
    def from_run(cls, run: Run) -> "RunRecord":
        """Build the record of a run."""
        return cls(
            format=FORMAT,
            name=run.name,
            metrics=run.metrics,
            contrast=run.contrast,
            evaluation=run.evaluation,
            comparisons=run.comparisons,
            cross_validation=run.cross_validation,
            insight=run.insight,
            classes=run.classes,
            feature_names=run.feature_names,
            reference_made=run.reference_made,
            provenance=run.provenance,
            settings=to_json(run.settings),
        )

    @classmethod
    def from_json(cls, facts: Any) -> "RunRecord":
        """Read what `to_json` gave; raises TypeError, KeyError or AttributeError if it is something else."""
        record: RunRecord = from_json(cls, facts)
        return record


def schema() -> dict[str, Any]:
    """Return the JSON Schema of `metrics.json`."""
    return {"$schema": "http://json-schema.org/draft-07/schema#", **json_schema(RunRecord)}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))  # noqa: T201 - this is its output
