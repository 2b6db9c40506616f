"""One compiled call an epoch against Keras's own loop, in turns: `python -m benchmarks.training.epochs`."""

import statistics
import time
from typing import Any, Final

import click
import numpy as np

_ROWS: Final = 7892
_FEATURES: Final = 57
_CLASSES: Final = 10
_BATCH: Final = 64
_STEPS_AN_EXECUTION: Final = 32


@click.command()
@click.option("--rounds", type=click.IntRange(min=2), default=30, show_default=True, help="Epochs of each, in turns.")
def main(rounds: int) -> None:
    """Train two networks of one seed on synthetic rows in turns, an epoch at a time, and compare times and weights.

    Keras's loop is the one a long fit had: its steps compiled by XLA, 32 an execution.
    """
    from genrestack_training.models.epochs import one_call_an_epoch  # isort: skip - imports TensorFlow quietly
    import keras

    random = np.random.default_rng(0)
    rows, labels = random.random((_ROWS, _FEATURES)), random.integers(0, _CLASSES, _ROWS)
    calls, loop = _network(jit_compile=True), _network(jit_compile=True, steps_per_execution=_STEPS_AN_EXECUTION)
    taken: dict[str, list[tuple[float, float]]] = {"one call an epoch": [], "Keras's loop": []}
    with one_call_an_epoch(calls, _BATCH):
        for number in range(rounds + 1):
            for name, model, batch in (("one call an epoch", calls, _ROWS), ("Keras's loop", loop, _BATCH)):
                keras.utils.set_random_seed(number)
                began = time.perf_counter(), time.process_time()
                model.fit(rows, labels, batch_size=batch, epochs=1, verbose=0)
                taken[name].append((time.perf_counter() - began[0], time.process_time() - began[1]))
    _report(taken)
    pairs = zip(calls.get_weights(), loop.get_weights(), strict=True)
    print(f"largest difference of a weight: {max(float(np.abs(a - b).max()) for a, b in pairs):.1e}")


def _network(**execution: Any) -> Any:
    from genrestack_training.models.mlp import build_mlp  # isort: skip - likewise
    import keras

    keras.utils.set_random_seed(1)
    model = build_mlp({"n_features_in_": _FEATURES, "n_classes_": _CLASSES}, [300] * 5, "relu")
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss="sparse_categorical_crossentropy", **execution)
    return model


def _report(taken: dict[str, list[tuple[float, float]]]) -> None:
    medians = {}
    for name, times in taken.items():
        # The first is compiled.
        seconds, processor = (statistics.median(each) for each in zip(*times[1:], strict=True))
        medians[name] = seconds, processor
        print(
            f"{name}: {1e3 * seconds:.0f} ms an epoch, {1e3 * processor:.0f} of processors; first {times[0][0]:.1f} s"
        )
    (ours, ours_cpu), (theirs, theirs_cpu) = medians.values()
    rounds = [theirs[0] / ours[0] for ours, theirs in zip(*(times[1:] for times in taken.values()), strict=True)]
    low, _, high = statistics.quantiles(rounds, n=4)
    print(f"{theirs / ours:.2f}× quicker, half of the rounds between {low:.2f} and {high:.2f}; "
          f"processors {theirs_cpu / ours_cpu:.2f}×")  # fmt: skip


if __name__ == "__main__":
    main()
