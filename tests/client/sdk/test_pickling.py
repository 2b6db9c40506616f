"""An unpickled client connects by itself, with the same settings; a token given as text goes along."""

import copy
import multiprocessing
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from client.servicer import FEATURES, Script, serving
from joblib import Parallel, delayed
from support.network.certificates import Authority

from genrestack import TLS, AsyncClient, Client, ClientClosed, KeepaliveOptions, RetryOptions, Unauthenticated
from genrestack._sync.calls import Calls

ROW = [dict.fromkeys(FEATURES, 0.5)]
SECRET = "s3cret-t0ken-of-mine"


def ask(client: Client) -> tuple[int, list[str]]:
    return os.getpid(), client.predict(ROW).labels


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib_hands_it_to_workers(real_server: str, backend: str) -> None:
    rows = [[0.1, 0.2, 0.3, 0.4]] * 50
    with Client(real_server) as client:
        found = Parallel(n_jobs=2, backend=backend)(delayed(client.predict)(rows) for _ in range(4))
    assert [answer.labels for answer in found] == [found[0].labels] * 4


def test_a_spawned_pool_maps_over_it(real_server: str) -> None:
    with Client(real_server) as client, multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(client.predict_proba, [[[0.1, 0.2, 0.3, 0.4]]] * 3)
        assert (found[0] == client.predict_proba([[0.1, 0.2, 0.3, 0.4]])).all()


def test_tls_and_tokens_travel(tmp_path: Path) -> None:
    import grpc

    ca = Authority.make()
    ca.write(tmp_path / "ca.pem")
    pair = ca.server(tmp_path)
    credentials = grpc.ssl_server_credentials([(pair.key.read_bytes(), pair.certificate.read_bytes())])
    (tmp_path / "token").write_text(SECRET, encoding="utf-8")
    with serving(Script(token=SECRET), credentials=credentials) as target:
        for token in ({"token": SECRET}, {"token_file": tmp_path / "token"}, {"token": _token}):
            with Client(target, tls=TLS(ca=tmp_path / "ca.pem"), **token) as client:
                data = pickle.dumps(client)
                assert (SECRET.encode() in data) is (token == {"token": SECRET})
                assert b"PRIVATE KEY" not in data
                assert b"BEGIN CERTIFICATE" not in data
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    ((process, labels),) = pool.map(ask, [client])
            assert (process != os.getpid(), labels) == (True, ["high"])
        with Client(target, tls=TLS(ca=tmp_path / "ca.pem"), token_file=tmp_path / "token") as client:
            data = pickle.dumps(client)
            (tmp_path / "token").write_text("another", encoding="utf-8")
            with pickle.loads(data) as again, pytest.raises(Unauthenticated):
                again.predict(ROW)


def _token() -> str:
    return SECRET


def test_every_setting_travels() -> None:
    settings: dict[str, Any] = {
        "timeout": 3.0, "load_balancing": "round_robin", "keepalive": KeepaliveOptions(interval=7),
        "max_message_rows": 5, "max_message_bytes": 5000,
        "retry": RetryOptions(attempts=2), "channel_options": [("grpc.lb_policy_name", "x")],
    }  # fmt: skip
    for kind in (Client, AsyncClient):
        again = pickle.loads(pickle.dumps(kind(["127.0.0.1:1", "127.0.0.1:2"], **settings)))
        assert type(again) is kind
        assert again.target == "127.0.0.1:1,127.0.0.1:2"
        for name, value in settings.items():
            assert getattr(again._options, name) == (tuple(value) if name == "channel_options" else value)
        if isinstance(again, Calls):
            again.close()


def test_a_copy_is_a_client_of_its_own(real_server: str) -> None:
    client = Client(real_server)
    other, deep = copy.copy(client), copy.deepcopy(client)
    client.close()
    for each in (other, deep):
        with each:
            assert each.predict([[0.1, 0.2, 0.3, 0.4]]).model == "tiny"
    with pytest.raises(ClientClosed, match="this client is closed"):
        pickle.dumps(client)
