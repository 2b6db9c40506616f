"""The client and the real server agree."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from server.bundles.tiny import BASE, CLASSES, FEATURES, TinyStack, draw_rows
from server.running.live import running_server
from support.samples.stacks import FittedStack

from genrestack import Client, Health, InvalidInput, NotFound


@pytest.fixture
def client(real_server: str) -> Client:
    return Client(real_server)


def test_predictions_are_the_models_own(client: Client, real_stack: TinyStack) -> None:
    rows = draw_rows(1000)
    frame = pd.DataFrame(rows, columns=list(FEATURES)).iloc[:, ::-1]
    with client:
        # The server takes 100 rows a message, which only it knows.
        prediction = client.predict(rows, base=True)
        by_name = client.predict(frame)
        streamed = [p.probabilities for p in client.predict_stream(np.array_split(rows, 13))]
    assert prediction.classes == tuple(CLASSES)
    assert list(prediction.base) == list(BASE)
    np.testing.assert_array_equal(by_name.probabilities, prediction.probabilities)
    np.testing.assert_allclose(np.concatenate(streamed), prediction.probabilities, atol=1e-6)
    assert (prediction.model, prediction.version) == ("tiny", 1)


def test_the_client_stands_where_the_estimator_stood(small_stack: FittedStack, models_dir: Path) -> None:
    with running_server(models_dir) as running, Client(f"127.0.0.1:{running.port}") as client:
        shuffled = pd.DataFrame(small_stack.rows, columns=list(small_stack.feature_names)).sample(frac=1, axis=1)
        served = client.predict(shuffled)
        assert client.predict(small_stack.rows[:1]).labels == served.labels[:1]
    expected = small_stack.probabilities(small_stack.rows)
    np.testing.assert_allclose(served.probabilities, expected, atol=5e-4)
    assert served.labels == [small_stack.classes[i] for i in expected.argmax(axis=1)]


def test_errors_of_the_server_are_typed(client: Client) -> None:
    rows = draw_rows(3)
    with client:
        with pytest.raises(NotFound, match="tiny"):
            client.predict(rows, model="gone")
        with pytest.raises(InvalidInput) as caught:
            client.predict(rows[:, 1:])
        assert caught.value.violations[0].field == "rows.shape"
        wrong = pd.DataFrame(rows, columns=["strange", *FEATURES[1:]])
        with pytest.raises(InvalidInput, match="chroma") as caught:
            client.predict(wrong)
        assert [v.field for v in caught.value.violations] == ["feature_names"]
        with pytest.raises(InvalidInput, match="'strange'") as caught:
            client.predict(wrong, strict=True)
        assert [v.field for v in caught.value.violations] == ["feature_names", "feature_names"]
        assert "strange" in caught.value.violations[1].description


def test_models_and_health(client: Client) -> None:
    with client:
        client.wait_until_ready(10)
        client.wait_until_ready(10, model="tiny", version=1)
        assert client.health() is Health.SERVING
        assert client.health("gone") is Health.UNKNOWN
        (listed,) = client.models()
        full = client.model("tiny")
        with pytest.raises(InvalidInput, match="version 1 is"):
            client.health(version=1)
    assert (listed.name, listed.version, listed.state, listed.default) == ("tiny", 1, "ready", True)
    assert listed.features == ()
    assert full.feature_names == tuple(FEATURES)
    assert full.classes == tuple(CLASSES)
    assert [part.name for part in full.parts if part.kind == "base"] == list(BASE)
    assert full.provider == "CPUExecutionProvider"
    assert full.served_parity.rows == full.served_parity.labels_agreed > 0
