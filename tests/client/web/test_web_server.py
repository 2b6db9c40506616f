"""`genrestack web` over plain HTTP: songs in, events out, and what it refuses."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
from client.web.conftest import BIN, SENT_BY_PAGE, Page, served_page, surroundings
from support.samples.songs import KINDS, recording, write_recording
from support.waiting import until

from genrestack import Client


def post(page: Page, body: object, name: str = "song.wav", **headers: str) -> tuple[int, list[dict[str, Any]]]:
    with page.asked("POST", "/api/songs", body, {**SENT_BY_PAGE, "X-File-Name": name, **headers}) as answer:
        return answer.status, [json.loads(line) for line in answer.read().splitlines()]


@pytest.mark.parametrize("path", ["/", "/style.css", "/page.js", "/drawing.js", "/icon.svg", "/api/model", "/none"])
def test_everything_comes_from_here_and_for_here_alone(page: Page, path: str) -> None:
    with page.asked("GET", path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        text = answer.read().decode()
        assert answer.status == (404 if path == "/none" else 200)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Access-Control-Allow-Origin"] is None
    assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")
    assert " on" not in text or "onclick" not in text


def test_a_song_is_answered_as_the_client_answers_it(page: Page, song_server: str, tmp_path: Path) -> None:
    song = write_recording(tmp_path / "song.flac", *KINDS)
    status, events = post(page, song.read_bytes(), "song.flac")
    with Client(song_server, timeout=60) as client:
        expected = client.classify_song(song, model="songs", base=True)
    assert status == 200
    assert [events[0]["event"], events[-1]["event"]] == ["song", "answer"]
    windows = [window for event in events if event["event"] == "windows" for window in event["windows"]]
    assert [window["label"] for window in windows] == expected.windows.labels
    assert [window["start"] for window in windows] == expected.starts.tolist()
    assert set(windows[0]["base"]) == set(expected.base)
    answer = events[-1]
    assert answer["label"] == expected.label
    assert list(answer["probabilities"].values()) == pytest.approx(expected.probabilities.tolist(), abs=1e-4)
    assert (answer["duration"], answer["warnings"]) == (expected.duration, list(expected.warnings))
    peaks = [height for event in events for height in event.get("peaks", ())]
    assert len(peaks) == pytest.approx(180, abs=1)
    assert 0 < max(peaks) <= 255
    assert page.uploads() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a song", "not audio"),
        (b"", "is empty"),
        (b"RIFF" + bytes(200), "not audio"),
    ],
)
def test_a_file_that_is_no_recording_gets_its_sentence(page: Page, content: bytes, message: str) -> None:
    status, events = post(page, content, "notes.txt")
    assert (status, [event["event"] for event in events]) == (200, ["error"])
    assert message in events[0]["message"]
    assert str(page.folder) not in events[0]["message"]
    assert page.uploads() == []


def test_a_short_and_a_silent_song_get_their_sentences(page: Page, tmp_path: Path) -> None:
    short = write_recording(tmp_path / "short.wav", "band", seconds=1.0)
    assert "less than one window" in post(page, short.read_bytes())[1][-1]["message"]
    soundfile.write(tmp_path / "silent.wav", np.zeros(22_050 * 6), 22_050)
    assert "silent" in post(page, (tmp_path / "silent.wav").read_bytes())[1][-1]["message"]


def test_what_another_site_could_send_is_refused(page: Page) -> None:
    with page.asked("POST", "/api/songs", b"x", {"Content-Type": "text/plain"}) as answer:
        assert (answer.status, "by the page itself" in answer.read().decode()) == (403, True)
    with page.asked("GET", "/api/model", headers={"Host": "rebound.example"}) as answer:
        assert answer.status == 400
    with page.asked("OPTIONS", "/api/songs", headers={"Origin": "http://elsewhere.example"}) as answer:
        assert answer.status == 405
        assert answer.headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize("declared", [True, False])
def test_an_upload_is_bounded(page: Page, declared: bool) -> None:
    chunks = (bytes(1 << 20) for _ in range(64))
    body: bytes | Iterator[bytes] = bytes(9 << 20) if declared else chunks
    connection = HTTPConnection("127.0.0.1", page.port, timeout=600)
    # It may have answered before all of it was sent.
    with suppress(OSError):
        connection.request("POST", "/api/songs", body, SENT_BY_PAGE, encode_chunked=not declared)
    answer = connection.getresponse()
    assert (answer.status, "larger than 8 MiB" in answer.read().decode()) == (413, True)
    connection.close()
    assert page.uploads() == []


def test_an_upload_that_breaks_off_leaves_nothing(page: Page) -> None:
    connection = HTTPConnection("127.0.0.1", page.port, timeout=600)
    connection.putrequest("POST", "/api/songs")
    for name, value in {**SENT_BY_PAGE, "Content-Length": "1000000"}.items():
        connection.putheader(name, value)
    connection.endheaders(b"x" * 1000)
    until(page.uploads)
    connection.close()
    until(lambda: page.uploads() == [])
    with page.asked("GET", "/api/model") as answer:
        assert answer.status == 200


def test_a_browser_that_leaves_leaves_nothing(page: Page, tmp_path: Path) -> None:
    song = write_recording(tmp_path / "long.wav", *KINDS, seconds=50).read_bytes()
    with page.asked("POST", "/api/songs", song, SENT_BY_PAGE) as answer:
        answer.readline()
        assert page.uploads() != []
    until(lambda: page.uploads() == [])


def test_the_model_is_described_with_the_honest_figure_first(page: Page) -> None:
    with page.asked("GET", "/api/model") as answer:
        card = json.loads(answer.read())
    assert (card["name"], card["version"], tuple(card["classes"])) == ("songs", 1, KINDS)
    assert card["parity"]["labels_agreed"] == card["parity"]["rows"] > 0


def test_models_of_a_folder_answer_without_a_server(song_models: Path, tmp_path: Path) -> None:
    song = write_recording(tmp_path / "organ.wav", "organ")
    with served_page(song_models, tmp_path, "--model", "songs") as page:
        assert post(page, song.read_bytes())[1][-1]["label"] == "organ"


def test_a_busy_port_is_one_line(page: Page, song_server: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [BIN / "genrestack", "web", "--server", song_server, "--model", "songs", "--port", str(page.port)],
        capture_output=True, text=True, check=False, env=surroundings(tmp_path),
    )  # fmt: skip
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (
        1,
        [f"Error: 127.0.0.1:{page.port} cannot be listened on; choose another --port, or 0"],
    )


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_mix_of_two_hours_takes_no_more_memory_than_its_beginning(song_server: str, tmp_path: Path) -> None:
    mix = tmp_path / "mix.wav"
    part = np.concatenate([recording(kind, 40, 7, 8_000) for kind in KINDS])
    with soundfile.SoundFile(mix, "w", 8_000, 1, "PCM_16") as file:
        for _ in range(60):
            file.write(part)
    with served_page(song_server, tmp_path, "--model", "songs") as page, mix.open("rb") as body:
        length = {"Content-Length": str(mix.stat().st_size)}
        memory = []
        with page.asked("POST", "/api/songs", body, {**SENT_BY_PAGE, **length}) as answer:
            while line := answer.readline():
                event = json.loads(line)
                if event["event"] == "windows":
                    memory.append(psutil.Process(page.process.pid).memory_info().rss)
    assert (event["event"], event["duration"]) == ("answer", 7200.0)
    assert len(memory) == 240
    assert max(memory[60:]) < memory[59] + (16 << 20)
