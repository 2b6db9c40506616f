"""Print, as JSON, which kernels and instruction sets the libraries of this process have chosen."""

import json
import os
import sys
from importlib import import_module

# oneDNN says it itself, on standard output, when it is first used.
os.environ["ONEDNN_VERBOSE"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_info


def main() -> None:
    """Use each of them, and ask."""
    rows = np.ones((64, 57), dtype=np.float32)
    scipy.linalg.inv(np.eye(3))
    layers = keras.layers.Dense(64, activation="relu"), keras.layers.Dense(10, activation="softmax")
    network = keras.Sequential([keras.Input((57,)), *layers])
    network.compile("adam", "categorical_crossentropy")
    network.fit(rows, np.eye(10)[np.arange(64) % 10], verbose=0)
    sys.stdout.flush()
    # What NumPy has code for beside its baseline, and this processor has too; its public API only prints that.
    numpy = import_module("numpy._core._multiarray_umath")
    print(
        json.dumps(
            {
                "openblas": sorted(
                    {each["architecture"] for each in threadpool_info() if each["internal_api"] == "openblas"}
                ),
                "numpy": [name for name in numpy.__cpu_dispatch__ if numpy.__cpu_features__[name]],
            }
        )
    )


if __name__ == "__main__":
    main()
