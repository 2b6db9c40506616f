"""What an ONNX file of a bundle may hold, and that parts which do not fit are refused when they are joined."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from bundle.reseal import change_graph, replace, reseal
from onnx import TensorProto, helper, numpy_helper

from genrestack_bundle import BundleError, ComposedSession, open_bundle, verify_parity
from genrestack_bundle.graphs import checks


def _external(tensor: TensorProto) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def _external_constant(model: onnx.ModelProto) -> None:
    tensor = numpy_helper.from_array(np.zeros(3), "spy")
    _external(tensor)
    model.graph.node.append(helper.make_node("Constant", [], ["spied"], value=tensor))


def _external_sparse(model: onnx.ModelProto) -> None:
    values, indices = numpy_helper.from_array(np.ones(1), "spy"), numpy_helper.from_array(np.array([0]), "where")
    _external(values)
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))


def _external_in_branch(model: onnx.ModelProto) -> None:
    tensor = numpy_helper.from_array(np.zeros(3), "spy")
    _external(tensor)
    branch = helper.make_graph([helper.make_node("Identity", ["spy"], ["out"])], "branch", [], [], [tensor])
    model.graph.node.append(helper.make_node("If", ["truth"], ["chosen"], then_branch=branch, else_branch=branch))


def _foreign(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.microsoft"


def _foreign_in_branch(model: onnx.ModelProto) -> None:
    node = helper.make_node("Spy", [], ["out"], domain="evil")
    branch = helper.make_graph([node], "branch", [], [])
    model.graph.node.append(helper.make_node("If", ["truth"], ["chosen"], then_branch=branch, else_branch=branch))


def _foreign_in_list_of_branches(model: onnx.ModelProto) -> None:
    branch = helper.make_graph([helper.make_node("Spy", [], ["out"], domain="evil")], "branch", [], [])
    model.graph.node[0].attribute.append(helper.make_attribute("branches", [branch]))


def _function(model: onnx.ModelProto) -> None:
    opsets = [helper.make_opsetid("", 18)]
    node = helper.make_node("Identity", ["a"], ["b"])
    model.functions.append(helper.make_function("", "Identity2", ["a"], ["b"], [node], opsets))


def _older(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 12


def _sparse_constant(model: onnx.ModelProto) -> None:
    values, indices = numpy_helper.from_array(np.ones(1), "v"), numpy_helper.from_array(np.array([0]), "i")
    sparse = helper.make_sparse_tensor(values, indices, [2**60])
    model.graph.node.append(helper.make_node("Constant", [], ["spied"], sparse_value=sparse))


def _shaped(*dims: int) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].dims[:] = dims

    return change


def _shaped_constant(model: onnx.ModelProto) -> None:
    tensor = numpy_helper.from_array(np.zeros(3), "large")
    tensor.dims[:] = [2**60]
    model.graph.node.append(helper.make_node("Constant", [], ["large"], value=tensor))


def _many(model: onnx.ModelProto) -> None:
    node = helper.make_node("Identity", ["a"], ["b"])
    model.graph.node.extend([node] * 100_001)


SPOILED: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "initializer elsewhere": (lambda m: _external(m.graph.initializer[0]), "keeps tensors in other files"),
    "constant elsewhere": (_external_constant, "keeps tensors in other files"),
    "sparse tensor": (_external_sparse, "holds sparse tensors"),
    "sparse tensor in a node": (_sparse_constant, "holds sparse tensors"),
    "tensor larger than a machine": (_shaped(2**62), "another size than its shape says"),
    "tensor larger than a machine word": (_shaped(2**40, 2**40), "another size than its shape says"),
    "tensor of a negative size": (_shaped(-1, -1), "another size than its shape says"),
    "tensor of half a value": (
        lambda m: m.graph.initializer.add(dims=[1], data_type=1, raw_data=b"123"),
        "another size",
    ),
    "tensor of another type's values": (
        lambda m: m.graph.initializer.add(dims=[1], data_type=1, int64_data=[1]),
        "values lie where its type has none",
    ),
    "tensor in two places": (
        lambda m: m.graph.initializer.add(dims=[2], data_type=1, float_data=[1], raw_data=b"1234"),
        "values lie where its type has none",
    ),
    "texts as bytes": (
        lambda m: m.graph.initializer.add(dims=[1], data_type=8, raw_data=b"12345678"),
        "values lie where its type has none",
    ),
    "tensor of no type": (lambda m: m.graph.initializer.add(dims=[0]), "of a type that no export writes"),
    "tensor of an unknown type": (
        lambda m: m.graph.initializer.add(dims=[0], data_type=77),
        "of a type that no export writes",
    ),
    "tensor larger than a machine in a node": (_shaped_constant, "another size than its shape says"),
    "too many operators": (_many, "has more than 100000 operators"),
    "tensor of a branch elsewhere": (_external_in_branch, "keeps tensors in other files"),
    "foreign operator": (_foreign, "stock onnxruntime does not have"),
    "foreign operator in a branch": (_foreign_in_branch, "stock onnxruntime does not have"),
    "foreign operator in a list": (_foreign_in_list_of_branches, "stock onnxruntime does not have"),
    "function": (_function, "brings functions of its own"),
    "older operators": (_older, "version 12 of the operators ai.onnx, the manifest says 18"),
    "no graph": (lambda m: m.ClearField("graph"), "is not an ONNX model"),
}


@pytest.mark.parametrize("spoiled", SPOILED)
@pytest.mark.parametrize("file", ["knn.onnx", "svc.onnx"])
def test_graph_that_may_not_be_there(digits: Path, file: str, spoiled: str) -> None:
    change, complaint = SPOILED[spoiled]
    change_graph(digits, file, change)
    with pytest.raises(BundleError, match=f"{file} .*{complaint}"):
        open_bundle(digits)


@pytest.mark.parametrize("data", [b"", b"garbage", bytes(100), b"\x3a" * 500, b"PK\3\4"])
def test_file_that_is_no_graph(digits: Path, data: bytes) -> None:
    replace(digits, "svc.onnx", data)
    with pytest.raises(BundleError, match=r"svc\.onnx is not an ONNX model"):
        open_bundle(digits)


def _empty_initializers(model: onnx.ModelProto) -> None:
    for _ in range(3000):
        model.graph.initializer.add()


def _empty_nodes_in_a_branch(model: onnx.ModelProto) -> None:
    branch = onnx.GraphProto()
    for _ in range(3000):
        branch.node.add()
    model.graph.node[0].attribute.append(helper.make_attribute("branch", branch))


def _empty_texts(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("texts", [""] * 3000))


@pytest.mark.parametrize("change", [_empty_initializers, _empty_nodes_in_a_branch, _empty_texts])
def test_fields_are_counted_before_they_are_parsed(
    digits: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[onnx.ModelProto], None]
) -> None:
    """Of two bytes each, they take a hundred times as much once they are parsed."""
    monkeypatch.setattr(checks, "MAX_GRAPH_FIELDS", 3000)
    open_bundle(digits)
    change_graph(digits, "svc.onnx", change)
    with pytest.raises(BundleError, match=r"svc\.onnx has more than 3000 fields"):
        open_bundle(digits)


def test_names_that_are_not_text(digits: Path) -> None:
    def name(model: onnx.ModelProto) -> None:
        model.graph.node[0].output[0] = "qqqq"

    change_graph(digits, "svc.onnx", name)
    replace(digits, "svc.onnx", (digits / "svc.onnx").read_bytes().replace(b"qqqq", b"\xff\xfe\xfd\xfc"))
    with pytest.raises(BundleError, match=r"svc\.onnx holds names that are not text"):
        open_bundle(digits)


def _whole_way(bundle: Path) -> None:
    opened = open_bundle(bundle)
    verify_parity(ComposedSession(opened.compose(), part_names=opened.part_names, provider="cpu", threads=1), opened)


def _rename_output(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.output[:] = ["other" if name == "probabilities" else name for name in node.output]
    model.graph.output[0].name = "other"


def _loop(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]


def _make(op: str, *inputs: str, of: str = "probabilities", **attributes: Any) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            node.output[:] = ["was" if name == of else name for name in node.output]
        model.graph.node.append(helper.make_node(op, ["was", *inputs], [of], **attributes))

    return change


def _reshape(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([7, -1]), "sevens"))
    _make("Reshape", "sevens")(model)


def _huge(model: onnx.ModelProto) -> None:
    """Little on disk, four terabytes when it is computed."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**39]), "long"))
    value = numpy_helper.from_array(np.array([0.0]), "zero")
    model.graph.node.append(helper.make_node("ConstantOfShape", ["long"], ["huge"], value=value))
    model.graph.node.append(helper.make_node("ReduceSum", ["huge"], ["nothing"], keepdims=0))
    _make("Add", "nothing")(model)


MISFITS: dict[str, tuple[str, Callable[[onnx.ModelProto], object], str]] = {
    "input of another name": (
        "svc.onnx", lambda m: setattr(m.graph.input[0], "name", "rows"), r"svc\.onnx does not take .*\(rows, scaled\)"
    ),
    "one input more": ("meta.onnx", lambda m: m.graph.input.add(name="more"), r"meta\.onnx does not take .*\(more\)"),
    "output of another name": ("knn.onnx", _rename_output, r"knn\.onnx, .* do not fit together"),
    "nodes in a circle": ("svc.onnx", _loop, r"svc\.onnx, .* do not fit together"),
    "no such operator": ("svc.onnx", _make("Wizardry"), "onnxruntime refuses"),
    "another element type": ("svc.onnx", _make("Cast", to=int(TensorProto.INT32)), "onnxruntime refuses"),
    "more memory than there is": ("svc.onnx", _huge, "onnxruntime refuses|cannot answer"),
    "transposed": ("svc.onnx", _make("Transpose", perm=[1, 0]), "onnxruntime refuses|cannot answer"),
    "rows that come out otherwise": ("svc.onnx", _reshape, "onnxruntime refuses|cannot answer"),
    "classes of two dimensions": (
        "meta.onnx", _make("Unsqueeze", "one", of="class_index"), "output class_index has the shape|onnxruntime refuses"
    ),
}  # fmt: skip


@pytest.mark.parametrize("misfit", MISFITS)
def test_parts_that_do_not_fit(digits: Path, misfit: str) -> None:
    file, change, complaint = MISFITS[misfit]

    def with_one(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "one"))
        change(model)

    change_graph(digits, file, with_one)
    with pytest.raises(BundleError, match=complaint):
        _whole_way(digits)


def test_swapped_parts(digits: Path) -> None:
    """Each is sound, but the golden rows know whose answer is whose."""

    def swap(manifest: dict[str, Any]) -> None:
        first, second = manifest["parts"][1], manifest["parts"][2]
        first["name"], second["name"] = second["name"], first["name"]

    reseal(digits, swap)
    with pytest.raises(BundleError, match="does not answer its golden rows"):
        _whole_way(digits)


def test_kinds_swapped(digits: Path) -> None:
    def swap(manifest: dict[str, Any]) -> None:
        scaler, base = manifest["parts"][0], manifest["parts"][1]
        for key in ("file", "sha256"):
            scaler[key], base[key] = base[key], scaler[key]

    reseal(digits, swap)
    with pytest.raises(BundleError, match=r"knn\.onnx does not take"):
        _whole_way(digits)


def _endless(model: onnx.ModelProto) -> None:
    """A loop that nothing ends."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_on"], ["again"]), helper.make_node("Identity", ["state"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.DOUBLE, None),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.DOUBLE, None),
        ],
    )
    for node in model.graph.node:
        node.output[:] = ["was" if name == "probabilities" else name for name in node.output]
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.node.append(helper.make_node("Loop", ["", "yes", "was"], ["probabilities"], body=body))


def test_graph_that_never_ends(digits: Path) -> None:
    change_graph(digits, "svc.onnx", _endless)
    opened = open_bundle(digits)
    session = ComposedSession(opened.compose(), part_names=opened.part_names, provider="cpu", threads=1)
    with pytest.raises(BundleError, match=r"digits/1 needs more than 0\.5 s for its golden rows"):
        verify_parity(session, opened, within_s=0.5)
