"""Missing values the whole way: a table with empty cells, the model of it, and rows with gaps over a real port."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import tritonclient.grpc as triton
from server.running.live import running_server
from training.conftest import LIGHT, small_frame
from tritonclient.utils import InferenceServerException

from genrestack import AsyncClient, Client, InvalidInput
from genrestack.cli.main import run as run_command
from genrestack_proto.matrix import from_matrix, to_matrix
from genrestack_proto.v1.prediction_pb2 import PredictRequest, PredictResponse
from genrestack_proto.v1.prediction_pb2_grpc import PredictionServiceStub
from genrestack_server.call import Call
from genrestack_server.config.server_config import ServerConfig
from genrestack_server.errors import InvalidInput as Refused
from genrestack_server.ray_app.core import Core
from genrestack_training import Run, load_table, train
from genrestack_training.run_export import export_run

NAMES = ["alpha", "beta", "gamma", "tempo"]
GAPS = [0, 2]
"""Columns that lack values in the table."""


@pytest.fixture(scope="module")
def holed_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    frame = small_frame()
    frame.loc[::7, "alpha"] = frame.loc[3::11, "gamma"] = np.nan
    path = tmp_path_factory.mktemp("table") / "holed.csv"
    frame.to_csv(path, index=False)
    return train(load_table(path, allow_missing=True), missing="median", overrides=LIGHT, runs_dir=None)


@pytest.fixture(scope="module")
def holed_models(holed_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    export_run(holed_run, models, name="holed")
    return models


@pytest.fixture(scope="module")
def target(holed_models: Path) -> Iterator[str]:
    with running_server(holed_models, max_rows=1000) as running:
        yield f"127.0.0.1:{running.port}"


@pytest.fixture
def client(target: str) -> Iterator[Client]:
    with Client(target) as client:
        yield client


def rows_with_gaps(count: int = 40) -> npt.NDArray[np.float64]:
    rows = small_frame(90)[NAMES].to_numpy()[:count].astype(np.float32).astype(np.float64)
    rows[::3, 0] = rows[1::4, 2] = np.nan
    rows[5, GAPS] = np.nan
    return rows


def expected(run: Run, rows: Any) -> npt.NDArray[np.float64]:
    return np.asarray(run.stack.predict_proba(run.scaled(np.asarray(rows, dtype=np.float64))))


def as_lists(rows: npt.NDArray[np.float64]) -> list[list[float | None]]:
    return [[None if np.isnan(value) else float(value) for value in row] for row in rows]


FORMS: dict[str, Any] = {
    "array": lambda rows: rows,
    "single precision": lambda rows: rows.astype(np.float32),
    "masked array": np.ma.masked_invalid,
    "frame": lambda rows: pd.DataFrame(rows, columns=NAMES).iloc[:, ::-1],
    "frame of objects": lambda rows: pd.DataFrame(as_lists(rows), columns=NAMES, dtype=object),
    "frame with NA": lambda rows: pd.DataFrame(rows, columns=NAMES).convert_dtypes(),
    "lists with None": as_lists,
    "lists with NaN": lambda rows: rows.tolist(),
    "dicts": lambda rows: [dict(zip(NAMES, row, strict=True)) for row in as_lists(rows)],
    "columns": lambda rows: dict(zip(NAMES, map(list, zip(*as_lists(rows), strict=True)), strict=True)),
}


@pytest.mark.parametrize("form", list(FORMS))
def test_gaps_are_answered_as_the_original_does(client: Client, holed_run: Run, form: str) -> None:
    rows = rows_with_gaps()
    answer = client.predict(FORMS[form](rows))
    np.testing.assert_allclose(answer.probabilities, expected(holed_run, rows), atol=5e-4)
    assert answer.labels == holed_run.stack.predict(holed_run.scaled(rows)).tolist()


def test_one_row_and_many_messages(target: str, holed_run: Run) -> None:
    rows = np.tile(rows_with_gaps(), (60, 1))
    with Client(target, max_message_rows=500) as client:
        np.testing.assert_allclose(client.predict(rows).probabilities, expected(holed_run, rows), atol=5e-4)
        one = {"tempo": 1.0, "gamma": None, "beta": 2.0, "alpha": float("nan")}
        row = np.array([[np.nan, 2.0, np.nan, 1.0]])
        np.testing.assert_allclose(client.predict(one).probabilities, expected(holed_run, row), atol=5e-4)


@pytest.mark.parametrize("asked_before", [False, True])
def test_streams(client: Client, holed_run: Run, asked_before: bool) -> None:
    rows = rows_with_gaps()
    if asked_before:
        assert client.model().missing_features == {"alpha", "gamma"}
    answers = list(client.predict_stream(np.array_split(rows, 7)))
    np.testing.assert_allclose(np.vstack([a.probabilities for a in answers]), expected(holed_run, rows), atol=5e-4)


def test_asyncio(target: str, holed_run: Run) -> None:
    rows = rows_with_gaps()

    async def ask() -> list[Any]:
        async with AsyncClient(target) as client:
            whole = await client.predict(as_lists(rows))
            with pytest.raises(InvalidInput, match=r"rows\[0\]\[1\]: column 1 of row 0 is missing; a number is needed"):
                await client.predict([[1.0, None, 1.0, 1.0]])
            return [whole, *[answer async for answer in client.predict_stream([rows[:9], rows[9:]])]]

    whole, *parts = asyncio.run(ask())
    np.testing.assert_allclose(whole.probabilities, expected(holed_run, rows), atol=5e-4)
    np.testing.assert_allclose(np.vstack([p.probabilities for p in parts]), whole.probabilities, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([[1, 2, 3, 4], [np.nan, np.nan, 3, 4]], r"rows\[1\]\[1\]: column 1 of row 1 is NaN; fill it in"),
        ([[None, 2, 3, None]], r"rows\[0\]\[3\]: column 3 of row 0 is missing; a number is needed$"),
        ([[None, 2, 3, float("inf")]], r"rows\[0\]\[3\]: column 3 of row 0 is infinite"),
        ([[float("-inf"), 2, 3, 4]], r"rows\[0\]\[0\]: column 0 of row 0 is infinite"),
        ([[None, 2, 3, "x"]], r"rows\[0\]\[3\]: column 3 of row 0 is the text 'x'"),
        (
            pd.DataFrame([[np.nan, 1.0, np.nan, np.nan]], columns=["gamma", "alpha", "tempo", "beta"]),
            r"1 row with NaN: row 0 \('beta', 'tempo'\); leave them out: rows = rows\.dropna",
        ),
        (
            [{"alpha": None, "beta": None, "gamma": 1, "tempo": 1}],
            r"1 row with NaN: row 0 \('beta'\); correct them or leave these rows out",
        ),
    ],
)
def test_other_columns_are_refused_as_ever(client: Client, rows: Any, says: str) -> None:
    for _ in range(2):
        with pytest.raises(InvalidInput, match=says):
            client.predict(rows)
    with pytest.raises(InvalidInput, match=f"batch 1: {says}"):
        list(client.predict_stream([[[1, 2, 3, 4]], rows]))


def test_the_server_itself_refuses_other_columns(target: str) -> None:
    rows = rows_with_gaps()
    rows[4, 1] = np.nan
    rows[6, 2] = np.inf
    matrix = to_matrix(np.ascontiguousarray(rows[:, ::-1], dtype=np.float32))
    request = PredictRequest(rows=matrix, feature_names=NAMES[::-1])
    with grpc.insecure_channel(target) as channel, pytest.raises(grpc.RpcError) as caught:
        PredictionServiceStub(channel).Predict(request)
    details = str(caught.value.details())
    assert "feature 'beta' of row 4 is NaN" in details
    assert "rows[6].gamma" in details or "1 more" in details


def test_the_open_inference_protocol(target: str, holed_run: Run) -> None:
    rows = rows_with_gaps()
    with triton.InferenceServerClient(target) as client:
        for dtype, name in ((np.float32, "FP32"), (np.float64, "FP64")):
            tensor = triton.InferInput("features", list(rows.shape), name)
            tensor.set_data_from_numpy(rows.astype(dtype))
            found = client.infer("holed", [tensor]).as_numpy("probabilities")
            np.testing.assert_allclose(found, expected(holed_run, rows), atol=5e-4)
        rows[3, 3] = np.nan
        tensor.set_data_from_numpy(rows)
        with pytest.raises(InferenceServerException, match="feature 'tempo' of row 3 is NaN"):
            client.infer("holed", [tensor])


def test_a_replica_of_ray(holed_models: Path, holed_run: Run) -> None:
    """What a replica runs, without Ray around it."""
    rows = rows_with_gaps()
    wrong = rows.copy()
    wrong[2, 1] = np.nan

    def asked(values: npt.NDArray[np.float64]) -> bytes:
        return PredictRequest(rows=to_matrix(values.astype(np.float32))).SerializeToString()

    async def ask() -> PredictResponse:
        core = Core(ServerConfig(models_dir=holed_models))
        await core.start()
        try:
            with pytest.raises(Refused, match="feature 'beta' of row 2 is NaN"):
                await core.prediction.predict(asked(wrong), Call("Predict"))
            return await core.prediction.predict(asked(rows), Call("Predict"))
        finally:
            core.engine.manager.close()
            core.engine.close()

    answer = asyncio.run(ask())
    np.testing.assert_allclose(from_matrix(answer.probabilities), expected(holed_run, rows), atol=5e-4)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_command_takes_empty_cells(
    target: str, holed_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    rows = rows_with_gaps()
    frame = pd.DataFrame(rows, columns=NAMES)
    path = tmp_path / f"gaps.{form}"
    if form == "csv":
        text = frame.to_csv(index=False, na_rep="").splitlines()
        text[1] = ",".join(["NA", *text[1].split(",")[1:]])
        path.write_text("\n".join(text) + "\n")
    else:
        frame.to_parquet(path)
    assert run_command(["predict", str(path), "--server", target, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    labels = [row["predicted"] for row in answers["rows"]]
    assert labels == holed_run.stack.predict(holed_run.scaled(rows)).tolist()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1,,3,4", "line 3, column 'beta' is empty; fill it in or leave the row out"),
        (",2,,nan", "line 3, column 'tempo': nan is not a finite number"),
        ("inf,2,3,4", "line 3, column 'alpha': inf is not a finite number"),
        ("x,2,3,4", "line 3, column 'alpha': 'x' is not a number"),
    ],
)
def test_the_command_refuses_other_cells(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    path = tmp_path / "gaps.csv"
    path.write_text(f"{','.join(NAMES)}\n,2,3,4\n{line}\n")
    assert run_command(["predict", str(path), "--server", target]) == 1
    assert says in capsys.readouterr().err


def test_a_model_that_takes_none_refuses_them_all(models_dir: Path) -> None:
    rows = np.zeros((2, 64))
    rows[1, 5] = np.nan
    with running_server(models_dir) as running, Client(f"127.0.0.1:{running.port}") as client:
        assert client.model().missing_features == frozenset()
        with pytest.raises(InvalidInput, match=r"rows\[1\]\[5\]: column 5 of row 1 is NaN; fill it in"):
            client.predict(rows)
