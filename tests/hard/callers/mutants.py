"""Messages as nobody should send them: drawn field by field, nearly valid, or valid with their bytes harmed."""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from genrestack_proto.inference import open_inference_pb2 as oip
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1 import prediction_pb2 as native

Dice = random.Random
Matrix = npt.NDArray[np.float32]

NATIVE: Final = native.DESCRIPTOR.services_by_name["PredictionService"]
INFERENCE: Final = oip.DESCRIPTOR.services_by_name["GRPCInferenceService"]
STREAMS: Final = frozenset({"PredictStream", "ModelStreamInfer"})
METHODS: Final = {
    f"/{service.full_name}/{method.name}": (method.name, _module)
    for service, _module in ((NATIVE, native), (INFERENCE, oip))
    for method in service.methods
}
"""Path of every method of both services: its name, and the module of its messages."""

_TEXTS: Final = (
    "", "tiny", "nobody", "tiny\0", "../tiny", "t" * 5000, "ж" * 40, "\u202e", "tiny/1", "%s{0}", "FP32", "FP64",
    "INT8", "features", "probabilities", "probabilities.left", "label", "timeout", "priority", "chroma", "1", "-1",
    "99999999999",
)  # fmt: skip
_INTEGERS: Final = (0, 1, 2, 3, 4, 7, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1, -1, -(2**31), -(2**63))
_FLOATS: Final = (0.0, -0.0, 1.0, -2.5, 1e-45, 3e38, -3e38, float("nan"), float("inf"), float("-inf"))
_DEPTH: Final = 4


@dataclass(frozen=True)
class Sent:
    """One message, and which rows of the pool it asks about if it is a valid one."""

    path: str
    data: bytes
    begin: int = 0
    rows: int = 0

    @property
    def valid(self) -> bool:
        """Whether it has to be answered, and it is known how."""
        return self.rows > 0


def draw(dice: Dice, pool: Matrix) -> Sent:
    """Draw a message for some method: one in eight is valid, the others are wrong in every way there is."""
    path = dice.choice((*METHODS, *_BUSY, *_BUSY))
    name, module = METHODS[path]
    kind = _kind(path, module)
    whole = _whole(dice, name, pool)
    choice = dice.randrange(8)
    if choice == 0 and whole is not None:
        message, begin, rows = whole
        return Sent(path, message.SerializeToString(), begin, rows)
    if choice <= 2 and whole is not None:
        return Sent(path, _nearly(dice, whole[0]).SerializeToString())
    message = whole[0] if whole is not None and choice <= 5 else _filled(dice, kind(), _DEPTH)
    data = message.SerializeToString()
    return Sent(path, data if choice == 7 else _harmed(dice, data))


_BUSY: Final = tuple(path for path, (name, _) in METHODS.items() if "Predict" in name or "Infer" in name)


def _kind(path: str, module: Any) -> type[Message]:
    service = NATIVE if module is native else INFERENCE
    kind: type[Message] = getattr(module, service.methods_by_name[path.rsplit("/", 1)[1]].input_type.name)
    return kind


def _whole(dice: Dice, name: str, pool: Matrix) -> tuple[Message, int, int] | None:
    """A valid request for rows of the pool; None for a method that takes none."""
    rows = dice.choice((1, 1, 2, 5, 30))
    begin = dice.randrange(len(pool) - rows + 1)
    part = pool[begin : begin + rows]
    if "Predict" in name:
        request = native.PredictRequest(rows=to_matrix(part, as_values=dice.random() < 0.3), base=dice.random() < 0.3)
        return request, begin, rows
    if "Infer" in name:
        return _inference(dice, part), begin, rows
    return None


def _inference(dice: Dice, rows: Matrix) -> oip.ModelInferRequest:
    wide = dice.random() < 0.3
    tensor = oip.ModelInferRequest.InferInputTensor(
        name="features", datatype="FP64" if wide else "FP32", shape=rows.shape
    )
    request = oip.ModelInferRequest(model_name="tiny", id="7", inputs=[tensor])
    values = rows.astype(np.float64) if wide else rows
    if dice.random() < 0.5:
        request.raw_input_contents.append(values.tobytes())
    else:
        contents = request.inputs[0].contents
        (contents.fp64_contents if wide else contents.fp32_contents).extend(values.ravel().tolist())
    return request


def _nearly(dice: Dice, message: Message) -> Message:
    """Replace one or two fields of a valid message by drawn ones."""
    for _ in range(dice.randint(1, 2)):
        target: Any = message
        while dice.random() < 0.7:
            inner = [value for field, value in target.ListFields() if _is_message(field) and not _is_many(field)]
            inner += [v[0] for f, v in target.ListFields() if _is_message(f) and _is_many(f) and not _is_map(f) and v]
            if not inner:
                break
            target = dice.choice(inner)
        field: Any = dice.choice(list(target.DESCRIPTOR.fields))
        if dice.random() < 0.5:
            target.ClearField(field.name)
        _fill(dice, target, field, 1)
    return message


def _filled(dice: Dice, message: Message, depth: int) -> Message:
    fields: Any = message.DESCRIPTOR.fields
    for field in fields:
        if dice.random() < 0.6:
            _fill(dice, message, field, depth)
    return message


def _fill(dice: Dice, message: Message, field: Any, depth: int) -> None:
    if _is_map(field):
        entries, value = getattr(message, field.name), field.message_type.fields_by_name["value"]
        key = dice.choice(_TEXTS)
        if _is_message(value):
            _filled(dice, entries[key], depth - 1)
        else:
            entries[key] = _scalar(dice, value)
    elif _is_many(field):
        values = getattr(message, field.name)
        for _ in range(dice.choice((0, 1, 1, 2, 3, 9))):
            if not _is_message(field):
                values.append(_scalar(dice, field))
            elif depth:
                _filled(dice, values.add(), depth - 1)
    elif not _is_message(field):
        setattr(message, field.name, _scalar(dice, field))
    elif depth:
        _filled(dice, getattr(message, field.name), depth - 1)


def _scalar(dice: Dice, field: Any) -> Any:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return (
            dice.randbytes(dice.choice((0, 1, 3, 4, 16, 48)))
            if field.type == FieldDescriptor.TYPE_BYTES
            else dice.choice(_TEXTS)
        )
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return dice.random() < 0.5
    if kind in {FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE}:
        return dice.choice(_FLOATS)
    least, most = _RANGES.get(kind, (0, 0))
    return dice.choice([number for number in _INTEGERS if least <= number <= most])


_RANGES: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def _is_message(field: Any) -> bool:
    return field.message_type is not None


def _is_many(field: Any) -> bool:
    return bool(field.is_repeated)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _harmed(dice: Dice, data: bytes) -> bytes:
    for _ in range(dice.randint(1, 3)):
        data = dice.choice(_HARMS)(dice, data)
    return data


def _flip(dice: Dice, data: bytes) -> bytes:
    if not data:
        return data
    place = dice.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << dice.randrange(8)]) + data[place + 1 :]


def _cut(dice: Dice, data: bytes) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def _insert(dice: Dice, data: bytes) -> bytes:
    place = dice.randrange(len(data) + 1)
    return data[:place] + dice.randbytes(dice.randint(1, 12)) + data[place:]


def _repeat(dice: Dice, data: bytes) -> bytes:
    begin, end = sorted((dice.randrange(len(data) + 1), dice.randrange(len(data) + 1)))
    return data[:end] + data[begin:end] * dice.randint(1, 3) + data[end:]


def _length(dice: Dice, data: bytes) -> bytes:
    """Claim a length, or a number, of another size."""
    if not data:
        return data
    place = dice.randrange(len(data))
    return (
        data[:place] + dice.choice((b"\xff\xff\xff\xff\x0f", b"\x80" * 11, b"\xff" * 9 + b"\x01")) + data[place + 1 :]
    )


def _number(dice: Dice, data: bytes) -> bytes:
    """Write a float where something else was."""
    if len(data) < 4:
        return data
    place = dice.randrange(len(data) - 3)
    return data[:place] + struct.pack("<f", dice.choice(_FLOATS)) + data[place + 4 :]


_HARMS: Final[tuple[Callable[[Dice, bytes], bytes], ...]] = (_flip, _cut, _insert, _repeat, _length, _number)
