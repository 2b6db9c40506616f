"""What the latest export of a run found when it compared its graphs with the stack: kept beside the run."""

import json
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from genrestack_proto.v1.model_pb2 import Parity
from genrestack_training.errors import RunError

EXPORT = "export.json"


@dataclass(frozen=True)
class ExportRecord:
    """The latest export of a run."""

    model: str
    precision: str
    """"single" or "double"."""
    parity: Parity


def write_export_record(folder: Path, record: ExportRecord) -> None:
    """Write the record into a run's folder.

    Raises:
        OSError: the folder cannot be written.

    """
    parity = MessageToDict(record.parity, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    text = json.dumps({"model": record.model, "precision": record.precision, **parity}, indent=1, ensure_ascii=False)
    (folder / EXPORT).write_text(text + "\n", encoding="utf-8")


def read_export_record(folder: Path) -> ExportRecord | None:
    """Read the record of a run's latest export; None if it was not exported.

    Raises:
        RunError: the file holds something else.

    """
    file = folder / EXPORT
    if not file.is_file():
        return None
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        model, precision = str(facts.pop("model")), str(facts.pop("precision"))
        return ExportRecord(model, precision, ParseDict(facts, Parity()))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ParseError) as exc:
        raise RunError(f"{file} is broken; export the run again: genrestack export {folder}") from exc
