"""The native operator in a composed graph: the same answers as the exported graph, or that graph."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from bundle.reseal import change_graph, reseal
from sklearn.neighbors import KNeighborsClassifier
from support.samples.stacks import FittedStack

from genrestack_bundle import Bundle, VerifiedSession, open_bundle, verified_session
from genrestack_bundle import provider_selection as selection_module
from genrestack_bundle.native import substitution as substitution_module
from genrestack_bundle.native.library import LIBRARY, instruction_sets, missing
from genrestack_bundle.native.substitution import DOMAIN, native_parts
from genrestack_bundle.runtime.compose import compose
from genrestack_export.converters.nearest.knn import knn_graph, read_knn
from genrestack_proto.v1.model_pb2 import PART_KIND_BASE, PART_KIND_META, Model, Part

CPU = "CPUExecutionProvider"
Rows = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def opened(models_dir: Path) -> Bundle:
    return open_bundle(models_dir / "digits" / "1")


@pytest.fixture
def digits(models_dir: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(models_dir / "digits" / "1", tmp_path / "models" / "digits" / "1"))


def pair(bundle: Bundle, **options: Any) -> tuple[VerifiedSession, VerifiedSession]:
    """Return the bundle with native operators and without."""
    found = [verified_session(bundle, provider="cpu", native=native, **options) for native in (True, False)]
    return found[0], found[1]


def rows_for(small_stack: FittedStack, count: int) -> Rows:
    rows = np.concatenate([small_stack.rows, small_stack.training_rows, 3 * small_stack.rows - 20])
    return np.resize(rows, (count, rows.shape[1])).astype(np.float32)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_whole_stack_answers_the_same(opened: Bundle, small_stack: FittedStack, threads: int) -> None:
    native, graph = pair(opened, threads=threads)
    assert native.native == {"knn": instruction_sets()[0]}
    assert graph.native == {}
    assert (native.native_passed_over, graph.native_passed_over) == ("", "")
    assert native.session.nodes[CPU] < graph.session.nodes[CPU] - 20
    rows = rows_for(small_stack, 900)
    found, expected = native.session.run(rows), graph.session.run(rows)
    np.testing.assert_array_equal(found.class_index, expected.class_index)
    np.testing.assert_allclose(found.base["knn"], expected.base["knn"], rtol=0, atol=1e-7)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=0, atol=1e-6)


def test_no_row_sees_its_company(opened: Bundle, small_stack: FittedStack) -> None:
    session = verified_session(opened, threads=2).session
    rows = rows_for(small_stack, 256)
    together = session.run(rows).base["knn"]
    for size in (1, 2, 15, 16, 17, 31, 33, 64, 255):
        assert session.run(rows[:size]).base["knn"].tobytes() == together[:size].tobytes()
    assert session.run(rows[:0]).base["knn"].shape == (0, 10)


def test_many_threads_on_one_session(opened: Bundle, small_stack: FittedStack) -> None:
    session = verified_session(opened, threads=2).session
    rows = rows_for(small_stack, 100)
    expected = session.run(rows).base["knn"].tobytes()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: session.run(rows).base["knn"].tobytes(), range(80))) == {expected}


@pytest.mark.parametrize("instructions", () if missing() else instruction_sets())
def test_every_instruction_set(
    monkeypatch: pytest.MonkeyPatch, opened: Bundle, small_stack: FittedStack, instructions: str
) -> None:
    rows = rows_for(small_stack, 300)
    best = verified_session(opened, threads=1).session.run(rows)
    monkeypatch.setenv("GENRESTACK_NATIVE_ISA", instructions)
    verified = verified_session(opened, threads=1)
    assert verified.native == {"knn": instructions}
    assert verified.session.run(rows).base["knn"].tobytes() == best.base["knn"].tobytes()


def test_another_provider_keeps_the_graph(opened: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from genrestack_bundle.runtime import providers as providers_module
    from genrestack_bundle.runtime import session as session_module
    from genrestack_bundle.runtime.providers import PROVIDERS, Provider

    for module in (providers_module, session_module, selection_module):
        monkeypatch.setattr(module, "PROVIDERS", {**PROVIDERS, "cuda": Provider("cuda", CPU)})
    assert verified_session(opened, provider="cuda", threads=1).native == {}


def without_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.so"
    monkeypatch.setattr(selection_module, "LIBRARY", nowhere)
    monkeypatch.setattr(selection_module, "missing", lambda: missing(nowhere))


def test_without_the_library_the_graph_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, opened: Bundle) -> None:
    without_library(monkeypatch, tmp_path)
    verified = verified_session(opened, threads=1)
    assert verified.native == {}
    assert verified.native_passed_over.startswith(
        "knn: it was not compiled when GenreStack was installed (no C compiler"
    )
    assert verified.parity.labels_agreed == verified.parity.rows


def test_a_library_that_does_not_load_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, opened: Bundle
) -> None:
    broken = tmp_path / "broken.so"
    # Of another processor: the ELF header says which.
    broken.write_bytes(LIBRARY.read_bytes()[:18] + b"\xf3\x00" + LIBRARY.read_bytes()[20:])
    assert missing(broken).startswith("its library cannot be loaded")
    monkeypatch.setattr(selection_module, "LIBRARY", broken)
    verified = verified_session(opened, threads=1)
    assert verified.native_passed_over == "knn: onnxruntime refuses the library of operators"
    assert verified.parity.labels_agreed == verified.parity.rows


def test_the_golden_rows_decide(monkeypatch: pytest.MonkeyPatch, opened: Bundle) -> None:
    """An operator that answers otherwise is left out, and why is said."""
    right = substitution_module._attributes

    def wrong(part: Part) -> dict[str, int] | None:
        return {**(right(part) or {}), "neighbors": 50}

    monkeypatch.setattr(substitution_module, "_attributes", wrong)
    verified = verified_session(opened, threads=1)
    assert verified.native == {}
    assert verified.native_passed_over.startswith("knn: digits/1 does not answer its golden rows")
    assert verified.parity.labels_agreed == verified.parity.rows


def test_a_processor_without_the_instructions(monkeypatch: pytest.MonkeyPatch, opened: Bundle) -> None:
    monkeypatch.setenv("GENRESTACK_NATIVE_ISA", "mmx")
    verified = verified_session(opened, threads=1)
    assert verified.native == {}
    assert verified.native_passed_over.startswith("knn: ")


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_neighbors": "two"}, {"n_neighbors": "0"}, {"n_neighbors": "100000"}, {"n_neighbors": ""}, {"p": "3"},
        {"p": ""}, {"metric": "cosine"}, {"weights": "callable"},
    ],
)  # fmt: skip
def test_a_manifest_that_says_otherwise(digits: Path, parameters: Mapping[str, str]) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        next(part for part in manifest["parts"] if part["name"] == "knn")["parameters"].update(parameters)

    reseal(digits, edit)
    verified = verified_session(open_bundle(digits), threads=1)
    assert (verified.native, verified.native_passed_over) == ({}, "")


def test_a_manifest_that_lies(digits: Path) -> None:
    """It says three neighbours where the graph takes two: then the golden rows show that."""

    def edit(manifest: dict[str, Any]) -> None:
        next(part for part in manifest["parts"] if part["name"] == "knn")["parameters"]["n_neighbors"] = "3"

    reseal(digits, edit)
    verified = verified_session(open_bundle(digits), threads=1)
    assert verified.native == {}
    assert "does not answer its golden rows" in verified.native_passed_over


META = Part(name="meta", kind=PART_KIND_META, file="meta.onnx")


def _spoil(name: str) -> Any:
    def change(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.name.endswith("/c_1"):
                array = onnx.numpy_helper.to_array(tensor).copy()
                changed = {"one value": array[:, 0], "float32": array.astype(np.float32)}.get(name)
                if changed is None:
                    array[0, 0] = np.nan
                    changed = array
                tensor.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(changed), tensor.name))

    return change


@pytest.mark.parametrize("name", ["one value", "float32", "nan"])
def test_a_graph_that_no_export_writes(digits: Path, name: str) -> None:
    change_graph(digits, "knn.onnx", _spoil(name))
    bundle = open_bundle(digits)
    assert native_parts(bundle.model, bundle.graphs) == {}


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("count", [3, 60, 700])
@pytest.mark.parametrize("metric", ["minkowski", "manhattan", "euclidean"])
def test_every_form_that_an_export_writes(p: int, weights: str, count: int, metric: str) -> None:
    """As many features as classes, few points and many, each weight and distance: what is read is what was fitted."""
    rng = np.random.default_rng(count)
    points, labels = rng.normal(size=(count, 3)), np.arange(count) % 3
    estimator = KNeighborsClassifier(3, weights=weights, p=p, metric=metric).fit(points, labels)
    packed = knn_graph(read_knn("knn", estimator)).SerializeToString()
    parameters = {"n_neighbors": "3", "weights": weights, "metric": metric, "p": str(p)}
    part = Part(
        name="knn", kind=PART_KIND_BASE, file="knn.onnx", estimator="sklearn.neighbors.KNeighborsClassifier",
        parameters=parameters,
    )  # fmt: skip
    model = Model(parts=[part, META], classes=["a", "b", "c"], opset=18, ml_opset=3)
    (graph,) = native_parts(model, {"knn.onnx": packed}).values()
    rows = rng.normal(size=(50, 3))
    np.testing.assert_allclose(_run(graph, rows), _run(packed, rows), rtol=0, atol=1e-12)


def _run(graph: bytes, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(str(LIBRARY))
    session = onnxruntime.InferenceSession(graph, options, providers=[CPU])
    return np.asarray(session.run(["probabilities"], {"scaled": rows})[0])


def test_rows_that_are_no_numbers_are_answered_as_by_the_graph() -> None:
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(300, 3)), np.arange(300) % 3
    rows = np.array([[np.inf, 0, 0], [1e300, 0, 0], [np.nan, 0, 0]])
    for weights in ("uniform", "distance"):
        for p in (1, 2):
            estimator = KNeighborsClassifier(3, weights=weights, p=p).fit(points, labels)
            packed = knn_graph(read_knn("knn", estimator)).SerializeToString()
            part = Part(
                name="knn", kind=PART_KIND_BASE, file="f", estimator="sklearn.neighbors.KNeighborsClassifier",
                parameters={"n_neighbors": "3", "weights": weights, "metric": "minkowski", "p": str(p)},
            )  # fmt: skip
            model = Model(parts=[part, META], classes=["a", "b", "c"], opset=18, ml_opset=3)
            (graph,) = native_parts(model, {"f": packed}).values()
            np.testing.assert_array_equal(_run(graph, rows), _run(packed, rows))


def test_the_exported_bundle_stays_as_it_was(opened: Bundle) -> None:
    before = dict(opened.graphs)
    parts = native_parts(opened.model, opened.graphs)
    graph = onnx.load_model_from_string(compose(opened.model, {**opened.graphs, **parts}, {DOMAIN: 1}))
    assert [node.op_type for node in graph.graph.node if node.domain == DOMAIN] == ["Knn"]
    assert opened.graphs == before
    assert all(node.domain != DOMAIN for node in onnx.load_model_from_string(opened.compose()).graph.node)
