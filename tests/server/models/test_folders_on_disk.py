"""What polling makes of folders: half copied, moved away, links, equal sizes and times."""

import os
import shutil
from functools import partial
from pathlib import Path

import pytest
from bundle.reseal import reseal
from server.bundles.tiny import CLASSES, TinyStack, draw_rows, write_tiny
from server.running.live import RunServer
from server.running.watching import LOOK_S, NEVER_S, Seen, ask, index, some_looks, states
from support.waiting import until

from genrestack_bundle.unfinished import unfinished_folder
from genrestack_proto.matrix import from_matrix
from genrestack_server.models.registry import VersionState


def test_a_version_half_copied_is_waited_for(tmp_path: Path, stack: TinyStack, run_server: RunServer) -> None:
    models = tmp_path / "models"
    write_tiny(models, "tiny", stack)
    whole = write_tiny(tmp_path / "aside", "tiny", stack)
    # It looks when it is told to: between two looks of its own a busy machine may copy nothing for long.
    with run_server(models, poll_interval=NEVER_S) as running:
        seen = Seen(running)
        target = models / "tiny" / "2"
        target.mkdir()
        lacking = []
        # The manifest comes first, and the last file in two halves.
        for file in [whole / "manifest.json", *sorted(p for p in whole.iterdir() if p.name != "manifest.json")]:
            data = file.read_bytes()
            for part in (data[: len(data) // 2], data):
                (target / file.name).write_bytes(part)
                if part is not data:
                    some_looks(running, 2)
                    lacking.append(index(running)["tiny/2"][1])
        some_looks(running, 1)
        assert ask(running).version == 2
        assert seen.failures == []
        assert "it is not complete yet: SHA256SUMS is missing" in lacking
        assert any(text.startswith("it is not complete yet: meta.onnx has ") for text in lacking)
        assert "it is not complete yet: manifest.json and SHA256SUMS do not belong together" in lacking


def test_a_copy_that_stops_half_way_is_refused_in_the_end(
    tmp_path: Path, stack: TinyStack, run_server: RunServer
) -> None:
    models = tmp_path / "models"
    write_tiny(models, "tiny", stack)
    whole = write_tiny(tmp_path / "aside", "tiny", stack)
    with run_server(models, poll_interval=LOOK_S) as running:
        seen = Seen(running)
        shutil.copytree(whole, models / "tiny" / "2", ignore=shutil.ignore_patterns("meta.onnx"))
        until(lambda: bool(seen.failures))
        some_looks(running)
        assert seen.failures == [("tiny/2", "meta.onnx is missing from tiny/2; export the model again")]
        shutil.copy(whole / "meta.onnx", models / "tiny" / "2")
        until(lambda: ask(running).version == 2)


@pytest.mark.parametrize("how", ["gone", "empty", "a file"])
def test_a_repository_that_is_away_for_a_while(
    tmp_path: Path, stack: TinyStack, run_server: RunServer, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    models, away = tmp_path / "models", tmp_path / "away"
    write_tiny(models, "tiny", stack)
    with run_server(models, poll_interval=LOOK_S) as running:
        seen = Seen(running)
        models.rename(away)
        if how == "empty":
            models.mkdir()
        elif how == "a file":
            models.write_text("")
        some_looks(running, 12)
        assert ask(running).version == 1
        assert running.health("tiny") == "SERVING"
        lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        # Said once. A look that meets the repository on its way out may find it empty, and the next one gone.
        assert len(set(lines)) == len(lines) in (1, 2)
        assert all("still serving the loaded models" in line for line in lines)
        if how == "empty":
            models.rmdir()
        elif how == "a file":
            models.unlink()
        away.rename(models)
        write_tiny(models, "tiny", stack)
        until(lambda: ask(running).version == 2)
        assert seen.unloads in ([], ["tiny/1"])


def test_a_version_may_be_a_link_that_is_swapped(tmp_path: Path, stack: TinyStack, run_server: RunServer) -> None:
    """As `ln -sfn`, git-sync and mounted volumes do it; inside the folder itself nothing may be a link."""
    store, other = tmp_path / "store", TinyStack.draw(6)
    first, second = write_tiny(store, "tiny", stack), write_tiny(store, "tiny", other)
    link = tmp_path / "models" / "tiny" / "1"
    link.parent.mkdir(parents=True)
    link.symlink_to(first)
    with run_server(tmp_path / "models", poll_interval=LOOK_S) as running:
        seen = Seen(running)
        assert ask(running).version == 1
        (tmp_path / "next").symlink_to(second)
        (tmp_path / "next").rename(link)
        until(lambda: seen.loads == ["tiny/1"])
        found = from_matrix(ask(running).probabilities)
        assert abs(found - other.predict_proba(draw_rows(3))).max() < 1e-6


def test_what_stands_in_sha256sums_tells_versions_apart(
    tmp_path: Path, stack: TinyStack, run_server: RunServer
) -> None:
    """Neither sizes nor times do: copies, archives and links bring them along."""
    store, links = tmp_path / "store", tmp_path / "models" / "tiny"
    bundles = [write_tiny(store, name, stack) for name in ("one", "two")]
    for bundle, word in zip(bundles, ("blues", "disco"), strict=True):
        reseal(bundle, partial(dict.update, classes=[word, *CLASSES[1:]]))
        for file in bundle.iterdir():
            os.utime(file, ns=(1, 1))
    sizes = [{file.name: file.stat().st_size for file in bundle.iterdir()} for bundle in bundles]
    assert sizes[0] == sizes[1]
    links.mkdir(parents=True)
    (links / "1").symlink_to(bundles[0])
    with run_server(tmp_path / "models", poll_interval=LOOK_S) as running:
        seen = Seen(running)
        for file in bundles[0].iterdir():
            os.utime(file)
            file.chmod(0o600)
        some_looks(running)
        (tmp_path / "next").symlink_to(bundles[1])
        (tmp_path / "next").rename(links / "1")
        until(lambda: bool(seen.loads))
        assert list(ask(running).classes) == ["disco", *CLASSES[1:]]
        some_looks(running)
        # Once, and not for the times that changed before.
        assert seen.loads == ["tiny/1"]


def test_a_folder_under_way_is_not_noticed(tmp_path: Path, stack: TinyStack, run_server: RunServer) -> None:
    write_tiny(tmp_path, "tiny", stack)
    with unfinished_folder(tmp_path / "tiny") as unfinished, unfinished_folder(tmp_path):
        shutil.copytree(tmp_path / "tiny" / "1", unfinished.path, dirs_exist_ok=True)
        with run_server(tmp_path, poll_interval=LOOK_S) as running:
            some_looks(running)
            assert states(running) == {"tiny/1": VersionState.READY}
