"""Rows with names: the model's columns are taken, the others left out, and all that is wrong is told at once."""

import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sparse
from client.both_clients import BOTH_CLIENTS
from client.servicer import Script, serving
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import pandas as frames
from server.bundles.tiny import FEATURES, TinyStack, draw_rows, write_tiny
from server.running.live import running_server

import genrestack
from genrestack import Client, InvalidInput

ROWS = draw_rows(6)
FRAME = pd.DataFrame(ROWS.astype(float), columns=list(FEATURES))
FULL = FRAME.assign(filename="a.wav", label="blues")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("named")
    write_tiny(folder, "tiny", TinyStack.draw())
    with genrestack.load(folder) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def expected(client: Client) -> Any:
    return client.predict_proba(ROWS)


def refused(client: Client, rows: Any, **settings: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        client.predict(rows, **settings)
    return caught.value


NAMED = {
    "frame": FULL,
    "frame in another order": FULL.iloc[:, ::-1],
    "columns that are not texts": FULL.assign(x=1).rename(columns={"x": 0}),
    "other columns twice": pd.concat([FULL, FULL[["label"]]], axis=1),
    "another index": FULL.set_index("filename"),
    "nullable": FULL.convert_dtypes(),
    "arrow-backed": FULL.convert_dtypes(dtype_backend="pyarrow"),
    "sparse columns": FRAME.astype(pd.SparseDtype(float)),
    "objects": FULL.astype(object),
    "columns in a dict": FULL.to_dict("list"),
    "arrays in a dict": {name: FULL[name].to_numpy() for name in FULL},
    "records": FULL.to_dict("records"),
    "records from a generator": (row for row in FULL.to_dict("records")),
    "structured": FULL.to_records(),
    "arrow": pa.Table.from_pandas(FULL),
    "arrow's batch": pa.RecordBatch.from_pandas(FULL),
}
PLAIN = {
    "sparse matrix": sparse.csr_matrix(ROWS),
    "sparse array": sparse.coo_array(ROWS),
    "list of tuples": list(FRAME.itertuples(index=False)),
    "frame without names": pd.DataFrame(ROWS),
}


@pytest.mark.parametrize("kind", [*NAMED, *PLAIN])
def test_every_kind_gives_the_same(client: Client, expected: Any, kind: str) -> None:
    found = client.predict((NAMED | PLAIN)[kind])
    np.testing.assert_array_equal(found.probabilities, expected)


@pytest.mark.parametrize("row", [FULL.iloc[2], FRAME.iloc[2], dict(FULL.iloc[2])], ids=["mixed", "numbers", "dict"])
def test_one_row_by_name(client: Client, row: Any) -> None:
    np.testing.assert_array_equal(client.predict_proba(row), client.predict_proba(ROWS[2:3]))


def test_strict_refuses_other_columns(client: Client) -> None:
    error = refused(client, FULL, strict=True)
    assert "2 columns that tiny/1 does not take: 'filename', 'label'" in str(error)
    without_others = FULL.drop(columns=["filename", "label"])
    assert "rows = rows.drop(columns=['filename', 'label'])" in str(error)
    assert len(client.predict(without_others, strict=True)) == 6
    assert "strict=False" in str(refused(client, FULL.to_dict("list"), strict=True))
    assert len(client.predict_proba(FRAME, strict=True)) == 6
    with pytest.raises(InvalidInput, match="does not take"):
        client.predict_proba(FULL, strict=True)
    found = list(client.predict_stream([FULL, FRAME], strict=True, on_error="return"))
    assert isinstance(found[0], InvalidInput)
    assert str(found[0]).startswith("batch 0: 2 columns that")
    assert len(found[1].labels) == 6  # type: ignore[union-attr]


def test_all_that_is_wrong_is_told_at_once(client: Client) -> None:
    bad = FULL.rename(columns={"tempo": "Tempo "}).assign(chroma=["1", "2", "x", "4", "5", "6"])
    bad.loc[[2, 4], "rms"] = np.nan
    error = refused(client, bad)
    assert str(error).splitlines() == [
        "3 things are wrong with the rows:",
        (
            "  1. 1 of the 4 columns that tiny/1 takes is missing: 'tempo'; if it is only the name: "
            "rows = rows.rename(columns={'Tempo ': 'tempo'})"
        ),
        (
            "  2. 1 column without numbers: 'chroma' (row 0 is the text '1'); make numbers of them, and NaN of the "
            "rest: rows[['chroma']] = rows[['chroma']].apply(pandas.to_numeric, errors='coerce')"
        ),
        "  3. 2 rows with NaN: row 2 ('rms'), row 4 ('rms'); leave them out: rows = rows.dropna(subset=['rms'])",
    ]
    assert [v.field for v in error.violations] == ["feature_names", "rows[0].chroma", "rows[2].rms", "rows[4].rms"]


def test_the_lines_mend_it(client: Client) -> None:
    rows = FULL.rename(columns={"tempo": "Tempo "}).assign(chroma=["1", "2", "x", "4", "5", "6"], rms=["1"] * 6)
    rows.loc[5, "zero_crossing"] = np.inf
    names = {"rows": rows, "pandas": pd, "client": client}
    for _ in range(6):
        try:
            answer = client.predict(names["rows"])
            break
        except InvalidInput as error:
            for line in re.findall(r": (rows(?: =|\[).*)$", str(error), re.MULTILINE):
                exec(line, names)
    # One row was text that is not a number, one infinite.
    assert len(answer) == 4


def test_text_that_is_numbers_is_read_as_such(client: Client, expected: Any) -> None:
    text = FULL.astype(dict.fromkeys(FEATURES, str))
    error = refused(client, text)
    line = str(error).rpartition(": ")[0].rpartition("numbers: ")[2] + str(error)[str(error).rindex(": ") :]
    names = {"rows": text}
    exec(line, names)
    np.testing.assert_array_equal(client.predict_proba(names["rows"]), expected)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (FRAME[["rms"]], "3 of the 4 columns that tiny/1 takes are missing: 'chroma', 'tempo', 'zero_crossing'; "),
        (pd.DataFrame({"x": [1]}), "4 of the 4 columns"),
        (pd.concat([FULL, FRAME[["rms"]]], axis=1), "duplicate feature name 'rms' (also column 1); keep one of them"),
        (FULL.assign(tempo=pd.Timestamp("2020-01-01")), "'tempo' (row 0 is of dtype datetime64"),
        (FULL.assign(tempo=pd.Timedelta("1s")), "'tempo' (row 0 is of dtype timedelta64"),
        (FULL.assign(tempo=1j), "'tempo' (row 0 is of dtype complex128)"),
        (FULL.assign(tempo=pd.Series([[1.0]] * 6)), "'tempo' (row 0 is [1.0])"),
        (FULL.assign(tempo=pd.Series([1, pd.NA, 3, None, 5, pd.NaT], dtype=object)),
         "3 rows with NaN: row 1 ('tempo'), row 3 ('tempo'), row 5"),
        (FULL.assign(tempo=pd.array([1, None, 3, 4, 5, 6], dtype="Int64")), "1 row with NaN: row 1 ('tempo')"),
        (FULL.assign(tempo=1e300), "row 0 ('tempo' is 1e+300, which float32 cannot hold"),
        (FULL.assign(**dict.fromkeys(FEATURES, np.nan)), "row 0 ('chroma', 'rms', 'tempo' and 1 more)"),
        (FRAME.iloc[:0], "give at least one row"),
        ([dict.fromkeys(FEATURES, 1.0), {"rms": 1.0}], "rows[1] lacks 'chroma', 'tempo', 'zero_crossing'"),
        ({**{name: [1.0, 2.0] for name in FEATURES}, "rms": [1.0]}, "are ragged"),
        ({"Rms": 1.0, "chroma": 1.0, "tempo": 1.0, "zero_crossing": 1.0}, "did you mean 'rms' by 'Rms'?"),
        ({**{name: [1.0] for name in FEATURES}, "rms": ["x"]}, "without numbers: 'rms' (row 0 is the text 'x')"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(client: Client, rows: Any, text: str) -> None:
    assert text in str(refused(client, rows))


class OnAGpu:
    def __array__(self, *_: object, **__: object) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


@pytest.mark.parametrize(
    "rows",
    [
        OnAGpu(), None, 3, "songs.csv", b"ab", bytearray(b"abcd"), memoryview(b"abcd"), {1, 2}, range(4), object(), int,
        np.array([["2020", "2021"]], dtype="M8[ns]"), np.ones((1, 4), complex), np.array([["a"] * 4]),
        np.ma.masked_array([["a", "b"]], [[False, True]]), pd.Index([1, 2]), pd.Series([1.0, 2.0]),
        sparse.csr_matrix((2, 3)),
        pd.Series([1.0, 2.0], index=["a", "a"]), np.zeros((), dtype=[("a", "U3")]), pa.table({"a": ["x"]}),
        sparse.csr_matrix((0, 4)), [[object()] * 4], [{"a": object()}], {"a": object()}, [b"abcd"], iter([]),
    ],
    ids=lambda rows: type(rows).__name__,
)  # fmt: skip
def test_odd_types_are_an_error_that_can_be_read(client: Client, rows: Any) -> None:
    error = refused(client, rows)
    assert error.violations
    assert "cuda" not in str(error)
    assert error.__cause__ is None


@settings(max_examples=60, deadline=None)
@given(
    frames.data_frames(
        [
            frames.column(name, elements=st.one_of(st.floats(), st.integers(), st.text(max_size=3), st.none()))
            for name in ("rms", "tempo", "chroma", "zero_crossing", "other")
        ]
    )
)
def test_any_frame_is_answered_or_refused(client: Client, frame: pd.DataFrame) -> None:
    try:
        answer = client.predict(frame)
    except InvalidInput as refusal:
        assert refusal.violations  # noqa: PT017 - which of the two it is, the frame decides
    else:
        assert len(answer) == len(frame)


def test_the_traceback_shows_the_callers_line_and_one_of_ours(client: Client) -> None:
    for rows in (FULL.assign(rms="x"), [[1, 2, 3, float("nan")]], FULL[["rms"]], OnAGpu(), 3):
        with pytest.raises(InvalidInput) as caught:
            client.predict(rows)
        frames_seen = [Path(frame.filename).name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert frames_seen == [Path(__file__).name, "client.py"]
        assert "During handling" not in "".join(traceback.format_exception(caught.value))


def test_the_model_is_asked_for_its_columns_once(expected: Any, client: Client) -> None:
    script = Script()
    with serving(script) as target:
        for make in BOTH_CLIENTS:
            with make(target) as asked:
                for _ in range(3):
                    asked.predict(pd.DataFrame({"c": [0.0], "a": [3.0], "b": [0.0], "label": ["x"]}))
                list(asked.predict_stream([{"a": [1.0], "b": [2.0], "c": [3.0], "z": [0]}] * 3))
    assert {tuple(request.feature_names) for request in script.requests} == {("a", "b", "c")}
    assert len(script.requests) == 12


def test_a_version_with_other_columns_takes_over(tmp_path: Path) -> None:
    write_tiny(tmp_path, "tiny", TinyStack.draw())
    wider = FULL.assign(energy=1.0)
    with running_server(tmp_path, poll_interval=0.05) as running:
        for make in BOTH_CLIENTS:
            with make(f"127.0.0.1:{running.port}") as asked:
                before = asked.predict(wider)
                version = before.version + 1
                names = [*FEATURES, "energy"] if version % 2 == 0 else FEATURES
                write_tiny(tmp_path, "tiny", TinyStack.draw(1, len(names)), features=names)
                asked.wait_until_ready(60, model="tiny", version=version)
                assert asked.predict(wider).version == version
                assert next(asked.predict_stream([wider])).version == version


def test_html_is_escaped_and_short(tmp_path: Path) -> None:
    write_tiny(tmp_path, "tiny", TinyStack.draw())
    with genrestack.load(tmp_path) as asked:
        prediction, info = asked.predict(draw_rows(50)), asked.model()
        listing = repr(asked.models())
    html = prediction._repr_html_()
    assert html.count("<tr>") == 11
    assert "tiny/1, 50 rows" in html
    assert "40 more rows" in html
    assert len(repr(info)) < 200
    assert repr(info) == "<ModelInfo of tiny/1: 4 features, 3 classes>"
    assert listing == "[<ModelInfo of tiny/1: 3 classes>]"
    assert "метал" in info._repr_html_()
    evil = "<script>alert('&')</script>"
    spoiled = genrestack.Prediction([evil], np.ones((1, 1), np.float32), (evil,), evil, 1)
    song = genrestack.SongPrediction(
        evil, evil, np.ones(1, np.float32), (evil,), evil, 1, spoiled, np.zeros(1), 3.0, 3.0, 3.0, warnings=(evil,)
    )
    for shown in (spoiled._repr_html_(), song._repr_html_()):
        assert "<script" not in shown
        assert "&lt;script&gt;" in shown
