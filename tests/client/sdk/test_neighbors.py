"""What an answer sounds like: the nearest training rows, over a real port and in process."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from client.both_clients import assert_same
from server.running.live import Running, details, running_server
from support.samples.stacks import FittedStack, export, fit_digits

import genrestack
from genrestack import Client, FailedPrecondition, InvalidInput, Neighbor, ProtocolError
from genrestack._core.neighbors import read_neighbors
from genrestack.cli.main import run
from genrestack_proto.matrix import to_matrix
from genrestack_proto.v1 import prediction_pb2 as pb


@pytest.fixture(scope="module")
def fitted() -> FittedStack:
    return fit_digits(300, 120)


@pytest.fixture(scope="module")
def folder(fitted: FittedStack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of `plain`, and `named` with a neighbours part."""
    models = tmp_path_factory.mktemp("neighbors")
    export(fitted, models, "plain")
    export(fitted, models, "named", neighbors=True, row_names=[f"digit {row}" for row in range(300)])
    return models


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    with running_server(folder, max_batch_rows=32, max_rows=50) as running:
        yield running


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[Client]:
    with Client(f"127.0.0.1:{running.port}") as client:
        yield client


def expected(fitted: FittedStack, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances, and training rows; of equal distances, the lowest row first."""
    rows = fitted.scale(fitted.rows.astype(np.float32))
    distances, index = fitted.base["knn"].kneighbors(rows, len(fitted.training_rows))
    order = np.lexsort((index, distances.round(12)), axis=1)[:, :count]
    return np.take_along_axis(distances, order, axis=1), np.take_along_axis(index, order, axis=1)


def test_the_nearest_training_rows_are_those_of_the_knn(client: Client, fitted: FittedStack) -> None:
    # More rows than a message and a batch take: answers are split and joined on both sides.
    prediction = client.predict(fitted.rows, model="named", neighbors=3)
    distances, index = expected(fitted, 3)
    assert [[near.row for near in some] for some in prediction.neighbors] == index.tolist()
    np.testing.assert_allclose(
        [[near.distance for near in some] for some in prediction.neighbors], distances, atol=1e-9
    )
    labels = [fitted.classes[code] for code in fitted.base["knn"]._y]
    assert {near.label == labels[near.row] for some in prediction.neighbors for near in some} == {True}
    assert {near.name == f"digit {near.row}" for some in prediction.neighbors for near in some} == {True}
    plain = client.predict(fitted.rows, model="named")
    assert plain.neighbors == ()
    assert (plain.probabilities == prediction.probabilities).all()


def test_a_stream_and_a_model_in_process_give_the_same(client: Client, folder: Path, fitted: FittedStack) -> None:
    whole = client.predict(fitted.rows, model="named", neighbors=4)
    batches = list(client.predict_stream(np.array_split(fitted.rows, 7), model="named", neighbors=4))
    assert [near for batch in batches for near in batch.neighbors] == list(whole.neighbors)
    with genrestack.load(folder, threads=1) as here:
        assert_same(here.predict(fitted.rows, model="named", neighbors=4), whole, atol=0)
        with pytest.raises(FailedPrecondition, match="--neighbors"):
            here.predict(fitted.rows, model="plain", neighbors=1)


def test_what_cannot_be_answered_is_refused(client: Client, running: Running, fitted: FittedStack) -> None:
    rows = to_matrix(fitted.rows[:2].astype(np.float32))
    with pytest.raises(grpc.RpcError) as refused:
        running.stub.Predict(pb.PredictRequest(model="named", rows=rows, neighbors=11))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert details(refused.value) == [("neighbors", "11 were asked for; ask for 10 at most, 0 for none")]
    with pytest.raises(FailedPrecondition, match="export the model with --neighbors"):
        client.predict(fitted.rows[:2], model="plain", neighbors=1)
    for wrong in (-1, 11):
        with pytest.raises(InvalidInput, match="ask for 1 to 10"):
            client.predict(fitted.rows[:2], model="named", neighbors=wrong)
    assert not running.stub.Predict(pb.PredictRequest(model="named", rows=rows)).HasField("neighbors")


def test_answers_that_contradict_themselves_are_not_believed() -> None:
    def answer(**fields: object) -> pb.PredictResponse:
        near = {"count": 2, "rows": [1, 2], "distances": [0.5, 1.0], "labels": [0, 1], "names": ["x", "y"]} | fields
        return pb.PredictResponse(classes=["a", "b"], neighbors=pb.Neighbors(**near))  # type: ignore[arg-type]

    assert read_neighbors(answer(), 1, 3) == ((Neighbor(1, "a", 0.5, "x"), Neighbor(2, "b", 1.0, "y")),)
    for wrong, asked in [
        (answer(), 0), (answer(), 1), (pb.PredictResponse(), 2), (answer(labels=[0, 2]), 2), (answer(names=["x"]), 2),
        (answer(distances=[1.0, 0.5]), 2), (answer(distances=[0.5, float("nan")]), 2), (answer(distances=[-1, 0]), 2),
        (answer(count=0), 2), (answer(rows=[1]), 2),
    ]:  # fmt: skip
        with pytest.raises(ProtocolError):
            read_neighbors(wrong, 1, asked)


def test_the_command_names_them(
    running: Running, fitted: FittedStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(model: str, *options: str) -> tuple[int, str, str]:
        server = f"127.0.0.1:{running.port}"
        status = run(["predict", str(table), "--server", server, "--model", model, "--neighbors", "2", *options])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    table = tmp_path / "digits.csv"
    lines = [",".join(fitted.feature_names), *(",".join(map(str, row)) for row in fitted.rows[:3])]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    nearest = expected(fitted, 2)[1]
    rows = json.loads(ask("named", "--json")[1])["rows"]
    assert [[near["row"] for near in row["neighbors"]] for row in rows] == nearest[:3].tolist()
    found = list(csv.DictReader(io.StringIO(ask("named", "--csv")[1])))
    assert [int(row["neighbor.2.row"]) for row in found] == nearest[:3, 1].tolist()
    assert found[0]["neighbor.1.name"] == f"digit {nearest[0, 0]}"
    assert float(found[0]["neighbor.1.distance"]) == rows[0]["neighbors"][0]["distance"]
    assert f"digit {nearest[0, 0]} (" in ask("named")[1]
    status, _, err = ask("plain")
    assert status == 1
    assert "export the model with --neighbors" in err
