"""The nearest training rows in an answer, and novelty: held to the request and to themselves, and made plain data."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from genrestack.errors import ProtocolError
from genrestack.prediction import Neighbor
from genrestack_proto.v1 import prediction_pb2 as pb

_LONGEST_NAME: Final = 10_000


def read_neighbors(answer: pb.PredictResponse, rows: int, asked: int) -> tuple[tuple[Neighbor, ...], ...]:
    """Return the nearest training rows of each row; none where they were not asked for.

    Args:
        answer: whose classes are verified.
        rows: how many were sent.
        asked: how many neighbours of each.

    Raises:
        ProtocolError: they contradict the request or themselves.

    """
    if not asked:
        if answer.HasField("neighbors"):
            raise ProtocolError("nearest training rows came back unasked")
        return ()
    if not answer.HasField("neighbors"):
        raise ProtocolError(
            "nearest training rows were asked for, and none came back; the server may be too old for it"
        )
    found = answer.neighbors
    count, due = found.count, found.count * rows
    lengths = {len(found.rows), len(found.distances), len(found.labels), len(found.names) or due}
    if not 0 < count <= asked or lengths != {due}:
        raise ProtocolError(f"{asked} nearest training rows of each row were asked for, and their number does not fit")
    if max(found.labels) >= len(answer.classes):
        raise ProtocolError("the answer has a nearest training row whose label is none of its classes")
    if max(map(len, found.names), default=0) > _LONGEST_NAME:
        raise ProtocolError(f"the answer has a training row's name of more than {_LONGEST_NAME:,} characters")
    names = found.names or [""] * due
    listed = [
        Neighbor(row, answer.classes[label], distance, name)
        for row, label, distance, name in zip(found.rows, found.labels, found.distances, names, strict=True)
    ]
    near = tuple(tuple(listed[first : first + count]) for first in range(0, due, count))
    for row, some in enumerate(near):
        far = [0.0, *(neighbor.distance for neighbor in some), float("inf")]
        # A comparison with NaN is false.
        if not all(one <= other for one, other in pairwise(far)):
            raise ProtocolError(f"the distances to the nearest training rows of row {row} do not ascend from 0")
    return near


class HasNovelty(Protocol):
    """An answer to some rows."""

    @property
    def novelty(self) -> npt.NDArray[np.float64] | None:
        """How far each is from the training rows."""


def read_novelty(answer: pb.PredictResponse, rows: int) -> npt.NDArray[np.float64] | None:
    """Return how far each row is from the training rows; None where the answer does not say.

    Raises:
        ProtocolError: there are not as many as rows, or one is no distance.

    """
    if not answer.novelty:
        return None
    novelty = np.array(answer.novelty, dtype=np.float64)
    # A comparison with NaN is false.
    if len(novelty) != rows or not novelty.min() >= 0:
        raise ProtocolError(f"the answer to {rows} rows has {len(novelty)} values of novelty, or one that cannot be")
    return novelty


def joined_novelty(answers: Sequence[HasNovelty]) -> npt.NDArray[np.float64] | None:
    """Join those of consecutive answers; None where one does not say."""
    found = [answer.novelty for answer in answers if answer.novelty is not None]
    return np.concatenate(found) if found and len(found) == len(answers) else None
