"""Songs asked of a model of a tagger's outputs: from the recordings by table, run and bundle to the answer."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from server.running.live import Running, running_server
from support.samples.made_tagger import write_tagger
from support.samples.songs import KINDS, write_recording

from genrestack import Client, InvalidInput
from genrestack.cli.main import run
from genrestack_audio.cli import features
from genrestack_audio.tagger.recipe import TAG_NAMES
from genrestack_audio.tagger.tagger import HOW_TO, find_tagger
from genrestack_bundle import BundleError
from genrestack_bundle.layout import MANIFEST, SUMS
from genrestack_bundle.manifest import pack, pack_sums, read_manifest
from genrestack_common.extractors import Extractor
from genrestack_training import load_run, load_table, train
from genrestack_training.cli.evaluate import evaluate
from genrestack_training.run_export import export_run


@dataclass(frozen=True)
class Tagged:
    """A model of tags and what it was made of."""

    models: Path
    run: Path
    table: Path
    tagger: Path
    sha256: str


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Tagged:
    """A stack of the tags that a drawn tagger gives to two recordings of each kind."""
    folder = tmp_path_factory.mktemp("tags")
    tagger, sha256 = find_tagger(write_tagger(folder / "drawn.onnx"))
    for kind in KINDS:
        (folder / "genres" / kind).mkdir(parents=True)
        for seed in range(2):
            write_recording(folder / "genres" / kind / f"{kind}{seed}.wav", kind, seconds=15, seed=seed)
    table = folder / "tags.csv"
    words = [folder / "genres", "-o", table, "--kind", "tags", "--tagger", tagger, "--jobs", 1]
    assert CliRunner().invoke(features, [str(word) for word in words]).exit_code == 0
    fitted = train(
        load_table(table),
        overrides={"stack": {"estimators": ["knn", "svc"]}},
        compare=[],
        run_dir=folder / "run",
        jobs=1,
    )
    export_run(fitted, folder / "models", name="tags")
    return Tagged(folder / "models", folder / "run", table, tagger, sha256)


@pytest.fixture(scope="module")
def server(tagged: Tagged) -> Iterator[Running]:
    with running_server(tagged.models) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[Client]:
    with Client(f"127.0.0.1:{server.port}", timeout=60) as client:
        yield client


@pytest.fixture(autouse=True)
def here(tagged: Tagged, server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRESTACK_TAGGER", str(tagged.tagger))
    monkeypatch.setenv("GENRESTACK_SERVER", f"127.0.0.1:{server.port}")


@pytest.fixture
def song(tagged: Tagged) -> Path:
    return tagged.table.parent / "genres" / "organ" / "organ1.wav"


def test_run_bundle_and_model_say_which_tagger_it_was(
    tagged: Tagged, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_run(tagged.run).provenance.extractor == Extractor("tags", tagged.sha256)
    assert json.loads((tagged.run / "metrics.json").read_text())["provenance"]["extractor"]["sha256"] == tagged.sha256
    assert tagged.sha256 in (tagged.run / "report.html").read_text()
    (doubt,) = [line for line in load_run(tagged.run).provenance.warnings if "tagger" in line]
    assert "very likely knows some of these artists" in doubt
    manifest = read_manifest(tagged.models / "tags" / "1")
    assert (manifest.extractor.kind, manifest.extractor.sha256) == ("tags", tagged.sha256)
    assert manifest.format == 1
    found = client.model("tags").extractor
    assert found is not None
    assert (found.kind, found.sha256) == ("tags", tagged.sha256)
    assert run(["models"]) == 0
    assert f"features of songs: tags, by the tagger {tagged.sha256[:12]}…" in capsys.readouterr().out


def test_a_manifest_with_half_an_extractor_is_refused(tagged: Tagged, tmp_path: Path) -> None:
    for kind, sha256 in (("tags", ""), ("other", tagged.sha256), ("tags", tagged.sha256[1:])):
        model = read_manifest(tagged.models / "tags" / "1")
        model.extractor.kind, model.extractor.sha256 = kind, sha256
        (tmp_path / MANIFEST).write_bytes(pack(model))
        (tmp_path / SUMS).write_bytes(pack_sums(pack(model)))
        with pytest.raises(BundleError, match="an extractor of no kind, or without the sha256 of its tagger"):
            read_manifest(tmp_path)


def test_a_song_gets_the_answer_of_its_rows(tagged: Tagged, client: Client, song: Path) -> None:
    frame = pd.read_csv(tagged.table)
    rows = frame.loc[frame.filename.str.startswith("organ1."), list(TAG_NAMES)].to_numpy()
    answer = client.classify_song(song, model="tags")
    expected = client.predict(rows, model="tags")
    np.testing.assert_allclose(answer.windows.probabilities, expected.probabilities, atol=1e-6)
    assert answer.label == "organ"
    assert (answer.outside, answer.warnings) == ((), ())
    with pytest.raises(InvalidInput, match="a window of 2 s is too short for tags"):
        client.classify_song(song, model="tags", window=2)


def test_another_tagger_is_refused(
    tagged: Tagged,
    client: Client,
    song: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = write_tagger(tmp_path / "other.onnx", seed=1)
    monkeypatch.setenv("GENRESTACK_TAGGER", str(other))
    with pytest.raises(
        InvalidInput, match=f"model tags/1 takes the tags of a tagger: .*{tagged.sha256[:12]}… is needed"
    ):
        client.classify_song(song, model="tags")
    assert run(["predict", str(song), str(song.parent)]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("is needed; name that file in GENRESTACK_TAGGER") == 1
    assert captured.out == ""
    monkeypatch.setenv("GENRESTACK_TAGGER", str(tmp_path / "none.onnx"))
    with pytest.raises(InvalidInput, match=f"the tagger is not there; make it with {HOW_TO}"):
        client.classify_song(song, model="tags")


def test_a_table_of_another_tagger_is_refused(
    tagged: Tagged, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(tagged.table), "--csv"]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("left out") == 0
    table = tmp_path / "other.csv"
    table.write_text(tagged.table.read_text().replace(tagged.sha256, "0" * 64))
    assert run(["predict", str(table)]) == 1
    assert "line 2: its column 'extractor' names another tagger than the model was trained with" in (
        capsys.readouterr().err
    )
    assert run(["evaluate", str(table), "--output", str(tmp_path / "e.html")]) == 1
    assert "names another tagger than tags/1 was trained with" in capsys.readouterr().err


@pytest.mark.long
def test_a_folder_is_evaluated_by_the_models_own_features(song: Path, tmp_path: Path) -> None:
    page = tmp_path / "e.html"
    folder = tmp_path / "mine"
    (folder / "organ").mkdir(parents=True)
    for name in ("a.wav", "b.wav"):
        write_recording(folder / "organ" / name, "organ", seconds=6, seed=1)
    result = CliRunner().invoke(evaluate, [str(folder), "--output", str(page)])
    assert result.exit_code == 0, result.output
    assert "4 rows" in " ".join(result.output.split())
