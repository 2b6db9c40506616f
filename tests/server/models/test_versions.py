"""Which versions are served: policies, several models, and loading by request."""

import shutil
from pathlib import Path

import grpc
import pytest
from server.bundles.tiny import TinyStack, write_tiny
from server.running.live import Running, RunServer
from server.running.watching import LOOK_S, Seen, ask, index, manager, on_loop, refusal, some_looks, states
from support.waiting import until

from genrestack_server import RepositoryError, StartError
from genrestack_server.errors import LoadRejected, NotExplicit, NotFound
from genrestack_server.models.registry import VersionState
from genrestack_server.models.version_policy import VersionPolicy
from genrestack_server.service.status import to_status

READY, UNAVAILABLE = VersionState.READY, VersionState.UNAVAILABLE


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory, stack: TinyStack) -> Path:
    """A repository of one model in four versions."""
    folder = tmp_path_factory.mktemp("four")
    for _ in range(4):
        write_tiny(folder, "tiny", stack)
    return folder


@pytest.mark.parametrize(
    ("text", "candidates", "enough"),
    [
        ("latest:1", [9, 4, 3, 1], 1),
        ("latest:12", [9, 4, 3, 1], 12),
        ("all", [9, 4, 3, 1], None),
        ("3", [3], None),
        ("1,3,7", [3, 1], None),
        ("3, 1", [3, 1], None),
    ],
)
def test_policies(text: str, candidates: list[int], enough: int | None) -> None:
    policy = VersionPolicy.parse(text)
    assert policy.candidates([1, 3, 4, 9]) == candidates
    assert [n for n in range(20) if policy.satisfied(n)] == ([] if enough is None else list(range(enough, 20)))
    assert VersionPolicy.parse(str(policy)) == policy


@pytest.mark.parametrize("text", ["", "latest", "latest:0", "latest:-1", "latest:x", "newest", "1,", "0", "1,,2", "-1"])
def test_policies_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"the version policy is .*; write latest:N"):
        VersionPolicy.parse(text)


@pytest.mark.parametrize(
    ("policy", "served"), [("latest:1", [4]), ("latest:2", [3, 4]), ("all", [1, 2, 3, 4]), ("1,3,7", [1, 3])]
)
def test_what_a_policy_serves(four: Path, run_server: RunServer, policy: str, served: list[int]) -> None:
    with run_server(four, version_policy=policy) as running:
        for version in range(1, 5):
            if version in served:
                assert ask(running, "tiny", version).version == version
                assert running.health(f"tiny/{version}") == "SERVING"
            else:
                code, text = refusal(running, "tiny", version)
                assert code == grpc.StatusCode.NOT_FOUND
                assert f"served: {', '.join(map(str, served))} " in text
        assert ask(running, "tiny").version == served[-1]
        assert [title for title, state in states(running).items() if state == READY] == [f"tiny/{v}" for v in served]
        left_out = {reason for state, reason in index(running).values() if state == UNAVAILABLE}
        assert left_out <= {f"it is not served: the version policy is {policy}"}


def test_latest_counts_good_versions(four: Path, tmp_path: Path, run_server: RunServer) -> None:
    models = Path(shutil.copytree(four, tmp_path / "models"))
    (models / "tiny" / "3" / "golden.npz").write_bytes(b"")
    with run_server(models, version_policy="latest:2") as running:
        assert states(running) == {
            "tiny/1": UNAVAILABLE, "tiny/2": READY, "tiny/3": UNAVAILABLE, "tiny/4": READY,
        }  # fmt: skip
        assert index(running)["tiny/3"][1].startswith("golden.npz")


def test_a_list_of_versions_that_are_not_there(four: Path, run_server: RunServer) -> None:
    with pytest.raises(RepositoryError, match=r"model 'tiny' .* has no version that can be served"):
        run_server(four, version_policy="7,8").__enter__()


def load(running: Running, name: str) -> None:
    on_loop(running, manager(running).load(name))


def unload(running: Running, name: str) -> None:
    on_loop(running, manager(running).unload(name))


def test_loading_and_unloading_by_request(tmp_path: Path, stack: TinyStack, run_server: RunServer) -> None:
    for name in ("jazz", "rock"):
        write_tiny(tmp_path, name, stack)
    with run_server(tmp_path, repository_mode="explicit", load_models=("jazz",), poll_interval=LOOK_S) as running:
        seen = Seen(running)
        until(lambda: index(running) == {"jazz/1": (READY, ""), "rock/1": (UNAVAILABLE, "it is not loaded")})
        assert refusal(running, "rock")[0] == grpc.StatusCode.NOT_FOUND
        load(running, "rock")
        assert ask(running, "rock").version == 1
        assert running.health("rock") == "SERVING"

        write_tiny(tmp_path, "rock", stack)
        some_looks(running)
        assert ask(running, "rock").version == 1
        assert index(running)["rock/2"] == (UNAVAILABLE, "it is not loaded")
        load(running, "rock")
        assert ask(running, "rock").version == 2
        load(running, "rock")
        assert seen.loads == ["rock/1", "rock/2"]

        unload(running, "rock")
        assert refusal(running, "rock")[0] == grpc.StatusCode.NOT_FOUND
        assert running.health("rock") == "NOT_SERVING"
        assert running.health() == "SERVING"
        unload(running, "rock")
        unload(running, "jazz")
        assert running.health() == "NOT_SERVING"
        assert seen.unloads == ["rock/1", "rock/2", "jazz/1"]
        assert refusal(running) == (grpc.StatusCode.NOT_FOUND, "no model is served here")
        load(running, "jazz")
        assert running.health() == "SERVING"


def test_loading_what_is_not_there_or_no_good(tmp_path: Path, stack: TinyStack, run_server: RunServer) -> None:
    write_tiny(tmp_path, "jazz", stack)
    with run_server(tmp_path, repository_mode="explicit") as running:
        assert running.health() == "NOT_SERVING"
        for call in (load, unload):
            with pytest.raises(NotFound, match="no model 'rock' in the repository; it holds: jazz"):
                call(running, "rock")
        load(running, "jazz")
        bad = write_tiny(tmp_path, "jazz", stack)
        (bad / "meta.onnx").unlink()
        text = r"^jazz/2: meta\.onnx is missing from jazz/2; export the model again; served: 1$"
        for _ in range(2):
            with pytest.raises(LoadRejected, match=text) as caught:
                load(running, "jazz")
        assert to_status(caught.value).code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
        assert ask(running, "jazz").version == 1
        shutil.rmtree(bad)
        shutil.copytree(tmp_path / "jazz" / "1", tmp_path / "jazz" / "3")
        load(running, "jazz")
        assert ask(running, "jazz").version == 3
        shutil.move(tmp_path / "jazz", tmp_path / "elsewhere")
        assert ask(running, "jazz").version == 3
        unload(running, "jazz")
        with pytest.raises(NotFound):
            load(running, "jazz")


def test_a_policy_that_leaves_nothing_to_load(four: Path, run_server: RunServer) -> None:
    with (
        run_server(four, repository_mode="explicit", version_policy="9") as running,
        pytest.raises(LoadRejected, match=r"no version that is to be served \(the version policy is 9\); it has 1, 2"),
    ):
        load(running, "tiny")


def test_in_poll_mode_the_repository_decides(tiny_server: Running) -> None:
    for call in (load, unload):
        with pytest.raises(NotExplicit, match="--repository-mode explicit") as caught:
            call(tiny_server, "tiny")
        assert to_status(caught.value).code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    assert ask(tiny_server).version == 2


def test_models_to_load_that_are_not_there(four: Path, run_server: RunServer) -> None:
    with pytest.raises(StartError, match=r"the model to load 'pop' is not in .*: tiny; .* --load-model"):
        run_server(four, repository_mode="explicit", load_models=("pop",)).__enter__()
