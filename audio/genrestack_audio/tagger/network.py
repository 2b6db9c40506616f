"""The tagger's network as an ONNX graph, from the variables of its checkpoint.

Log-mel patches (n, 187, 96) → 50 probabilities. Five convolutions look at the patch, two at timbre (7 frames by 38 or
67 bands) and three at rhythm (128, 64 or 32 frames of each band); each keeps the largest value over the bands. Three
convolutions over time follow, the second and third of them residual; the largest value and the mean over time of all
that go through two dense layers.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

from genrestack_audio.tagger.recipe import FRAMES, MELS, TAG_NAMES

Variables = Callable[[str], np.ndarray]
"""Name of a variable of the checkpoint → its value, float32."""

INPUT: Final = "mel"
OUTPUT: Final = "tags"
_OPSET: Final = 18
_IR_VERSION: Final = 8
_EPSILON: Final = 1e-3
"""What the batch normalisations add to the variance."""
_TIMBRE, _RHYTHM, _MIDDLE = ("", "_1"), ("_2", "_3", "_4"), ("_5", "_6", "_7")


def build(variables: Variables) -> ModelProto:
    """Build the graph; the same variables give the same bytes on every machine."""
    graph = _Graph(variables)
    patch = graph.normalized(graph.node("Unsqueeze", INPUT, graph.constant([1])), "", (1, 1, 1, 1))
    branches = [graph.front(patch, name, pads=(3, 0, 3, 0)) for name in _TIMBRE]
    # "Same" padding of an even kernel has one more behind than before.
    branches += [graph.front(patch, name, pads=_same(graph.kernel(name).shape[0])) for name in _RHYTHM]
    heard = graph.node("Concat", *branches, axis=1)
    first = graph.middle(heard, _MIDDLE[0])
    second = graph.node("Add", graph.middle(first, _MIDDLE[1]), first)
    third = graph.node("Add", graph.middle(second, _MIDDLE[2]), second)
    told = graph.node("Concat", heard, first, second, third, axis=1)
    pooled = [graph.node(how, told, graph.constant([2]), keepdims=1) for how in ("ReduceMax", "ReduceMean")]
    # Channel by channel, the largest value and the mean beside it.
    flat = graph.node("Flatten", graph.node("Concat", *pooled, axis=2), axis=1)
    hidden = graph.node("Relu", graph.dense(graph.normalized(flat, "_9", (1, -1)), ""))
    answer = graph.dense(graph.normalized(hidden, "_10", (1, -1)), "_1")
    return graph.finished(graph.node("Sigmoid", answer))


def _same(length: int) -> tuple[int, int, int, int]:
    return (length - 1) // 2, 0, length // 2, 0


class _Graph:
    """Nodes and constants, and the layers made of them; suffixes are those of the checkpoint's names."""

    def __init__(self, variables: Variables) -> None:
        self._variables = variables
        self._nodes: list[Any] = []
        self._constants: list[TensorProto] = []

    def kernel(self, suffix: str) -> np.ndarray:
        return self._variables(f"conv2d{suffix}/kernel")

    def front(self, patch: str, suffix: str, pads: Sequence[int]) -> str:
        """Convolve the patch, and keep the largest value over the bands: (n, 1, t, bands) → (n, channels, t)."""
        weights, bias = self.kernel(suffix).transpose(3, 2, 0, 1), self._variables(f"conv2d{suffix}/bias")
        convolved = self.node("Conv", patch, self.constant(weights), self.constant(bias), pads=list(pads))
        normalized = self.normalized(self.node("Relu", convolved), _next(suffix), (1, -1, 1, 1))
        return self.node("ReduceMax", normalized, self.constant([3]), keepdims=0)

    def middle(self, heard: str, suffix: str) -> str:
        """Convolve over time: (n, channels, t) → (n, 64, t)."""
        weights, bias = self.kernel(suffix)[:, :, 0].transpose(2, 1, 0), self._variables(f"conv2d{suffix}/bias")
        convolved = self.node("Conv", heard, self.constant(weights), self.constant(bias), pads=[3, 3])
        return self.normalized(self.node("Relu", convolved), _next(suffix), (1, -1, 1))

    def dense(self, value: str, suffix: str) -> str:
        weights, bias = (self._variables(f"dense{suffix}/{name}") for name in ("kernel", "bias"))
        return self.node("Gemm", value, self.constant(weights), self.constant(bias))

    def normalized(self, value: str, suffix: str, shape: Sequence[int]) -> str:
        """Normalise as a batch normalisation does with the moments it has learned."""
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        gamma, beta, mean, variance = (
            self._variables(f"batch_normalization{suffix}/{name}").astype(np.float64) for name in names
        )
        factor = gamma / np.sqrt(variance + _EPSILON)
        scaled = self.node("Mul", value, self.constant(factor.astype(np.float32).reshape(shape)))
        return self.node("Add", scaled, self.constant((beta - mean * factor).astype(np.float32).reshape(shape)))

    def constant(self, value: np.ndarray | list[int]) -> str:
        name = f"c_{len(self._constants)}"
        tensor = np.asarray(value, dtype=np.int64 if isinstance(value, list) else np.float32)
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(tensor), name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def finished(self, answer: str) -> ModelProto:
        self._nodes.append(helper.make_node("Identity", [answer], [OUTPUT]))
        graph = helper.make_graph(
            self._nodes,
            "musicnn",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", FRAMES, MELS])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", len(TAG_NAMES)])],
            initializer=self._constants,
        )
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="genrestack")
        checker.check_model(model, full_check=True)
        return model


def _next(suffix: str) -> str:
    """Return the suffix of the normalisation behind a convolution: the first of all is that of the patch itself."""
    return f"_{int(suffix.removeprefix('_') or 0) + 1}"
