"""Sets of versions to install: which resolution, which Python, which extras, and what to run on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Resolution = Literal["lowest", "newest", "pinned"]

ROOT: Final = Path(__file__).resolve().parent.parent.parent
TRAINING: Final = ("3.11", "3.12", "3.13")
"""Pythons with a stable TensorFlow; on later ones the extra `train` is without it."""
PYTHONS: Final = (*TRAINING, "3.14")
SERVING_EXTRAS: Final = ("server", "http", "audio", "tags", "web", "plot")
_ENDS: Final[tuple[Resolution, ...]] = ("lowest", "newest")
EXTRAS: Final = ("train", "boosting", *SERVING_EXTRAS)

APART: Final = ("otel", "ray")
"""Extras whose oldest releases hold back what others may be: their sets are for their own bounds alone."""

# What pins or compares generated files is left out, and so is what needs further tools.
SERVING_TESTS: Final = (
    "tests/proto/test_matrix.py",
    "tests/client/sdk/test_client.py",
    "tests/client/sdk/test_async_client.py",
    "tests/client/streams/test_stream.py",
    "tests/client/connection/test_tls.py",
    "tests/server/service/test_core.py",
    "tests/server/inference/test_batcher.py",
    "tests/server/inference/test_batcher_deadlines.py",
    "tests/server/service/test_calls.py",
    "tests/server/service/test_bad_input.py",
    "tests/server/service/test_predict.py",
    "tests/server/test_lifecycle.py",
    "tests/server/rpc/test_rebuild.py",
    "tests/server/models/test_folders_on_disk.py",
    "tests/server/models/test_reload.py",
    "tests/server/rpc/test_stream.py",
    "tests/server/telemetry/test_metrics.py",
    "tests/server/rpc/test_reflection.py",
)
WHOLE: Final = (
    "tests/bundle",
    "tests/export",
    "tests/training/data/test_table.py",
    "tests/training/data/test_splits.py",
    "tests/training/evaluation/test_evaluation.py",
    "tests/training/run/test_run_folder.py",
    "tests/training/test_train.py",
    "tests/client/inputs/test_rows.py",
    "tests/client/sdk/test_real_server.py",
    "tests/server/test_real_model.py",
    *SERVING_TESTS,
)
APART_TESTS: Final = ("tests/server/telemetry/test_traces.py", "tests/server/ray_app/test_ray_app.py")
# Here pytest's own process is a driver of Ray, which has crashed in one that had run other tests before.
ALONE_TESTS: Final = ("tests/training/fitting/test_ray.py",)


@dataclass(frozen=True)
class Case:
    """One set of versions, on one Python."""

    resolution: Resolution
    python: str
    """As in `3.11`."""
    extras: tuple[str, ...]
    tests: tuple[str, ...]
    alone: tuple[str, ...] = ()
    """Tests that are run apart from the others, in a process of their own."""
    demo: bool = True
    """Whether `genrestack demo` has to pass; without TensorFlow, `genrestack train` has to say so in one line."""
    by_default: bool = True
    """Whether it is installed and tested unless others are named; otherwise it is only resolved."""
    part: Literal["", "serving", "apart"] = ""
    """Which part of the project it is about, if not the whole."""
    reached: tuple[str, ...] = ()
    """Extras whose lower bounds the lowest versions have to reach; "" is the base install."""

    @property
    def name(self) -> str:
        """Its name on the command line, as in `lowest-3.11` or `lowest-apart-3.11`."""
        return "-".join(filter(None, (self.resolution, self.part, self.python)))


def all_cases() -> Iterator[Case]:
    """Yield every set, in the order they are tried: the whole at both ends on each Python, its parts on the first."""
    first, last = TRAINING[0], TRAINING[-1]
    for python in TRAINING:
        for resolution in _ENDS:
            # Later Pythons have no wheels of what was released before them.
            bounds = ("train", "boosting") if python == first else ()
            yield Case(resolution, python, EXTRAS, WHOLE, by_default=python in (first, last), reached=bounds)
        # On the first, `make test` runs these.
        yield Case("pinned", python, (*EXTRAS, *APART), WHOLE, by_default=python == last)
    # Without training, older versions will do.
    everything = ("", *SERVING_EXTRAS)
    yield Case("lowest", first, SERVING_EXTRAS, SERVING_TESTS, demo=False, part="serving", reached=everything)
    for resolution in _ENDS:
        extras = ("train", "server", "audio", *APART)
        yield Case(resolution, first, extras, APART_TESTS, ALONE_TESTS, demo=False, part="apart", reached=APART)
    for python in PYTHONS[len(TRAINING) :]:
        for resolution in _ENDS:
            yield Case(resolution, python, EXTRAS, SERVING_TESTS, demo=False)


def chosen(names: Sequence[str]) -> list[Case]:
    """Return the cases to install and test: those named, or the default ones.

    Raises:
        KeyError: there is no case of that name.

    """
    cases = {case.name: case for case in all_cases()}
    return [cases[name] for name in names] if names else [case for case in cases.values() if case.by_default]
