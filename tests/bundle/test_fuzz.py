"""Whatever the bytes are, a bundle opens and runs or is refused as a BundleError; nothing else comes out."""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from bundle.reseal import read, replace, reseal_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genrestack_bundle import BundleError, ComposedSession, open_bundle, verify_parity

fuzz = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _use(bundle: Path) -> None:
    opened = open_bundle(bundle)
    verify_parity(ComposedSession(opened.compose(), part_names=opened.part_names, provider="cpu", threads=1), opened)


@pytest.fixture
def untouched(digits: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in digits.iterdir()}


def _restore(digits: Path, untouched: dict[str, bytes]) -> None:
    for name, data in untouched.items():
        (digits / name).write_bytes(data)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a JSON value with every key of it."""
    if isinstance(value, dict):
        keys: list[Any] = list(value)
    elif isinstance(value, list):
        keys = list(range(min(len(value), 3)))
    else:
        return []
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]


@fuzz
@given(data=st.data())
def test_manifest_with_a_value_of_any_kind(digits: Path, untouched: dict[str, bytes], data: st.DataObject) -> None:
    _restore(digits, untouched)
    manifest = read(digits)
    container, key = data.draw(st.sampled_from(range(len(_places(manifest)))).map(lambda i: _places(manifest)[i]))
    container[key] = data.draw(_json)
    reseal_text(digits, json.dumps(manifest).encode())
    with suppress(BundleError):
        _use(digits)


@fuzz
@given(text=st.binary(max_size=200) | _json.map(lambda value: json.dumps(value).encode()))
def test_manifest_of_any_bytes(digits: Path, text: bytes) -> None:
    reseal_text(digits, text)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        open_bundle(digits)


@fuzz
@given(
    name=st.sampled_from(["golden.npz", "scaler.onnx", "svc.onnx", "meta.onnx"]),
    place=st.floats(0, 1, exclude_max=True),
    patch=st.binary(min_size=1, max_size=8),
)
def test_patched_file(digits: Path, untouched: dict[str, bytes], name: str, place: float, patch: bytes) -> None:
    _restore(digits, untouched)
    data = bytearray(untouched[name])
    start = int(place * len(data))
    data[start : start + len(patch)] = patch
    replace(digits, name, bytes(data))
    with suppress(BundleError):
        _use(digits)


@fuzz
@given(
    name=st.sampled_from(["golden.npz", "knn.onnx", "svc.onnx"]),
    end=st.floats(0, 1, exclude_max=True),
)
def test_cut_file(digits: Path, untouched: dict[str, bytes], name: str, end: float) -> None:
    _restore(digits, untouched)
    replace(digits, name, untouched[name][: int(end * len(untouched[name]))])
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        open_bundle(digits)


def _spoilt(data: st.DataObject, whole: bytes) -> bytes | None:
    """Spoil a file's bytes in one of the ways of disks, copies and people; None: the file is gone."""
    how = data.draw(st.sampled_from(["cut", "flip", "gone", "empty", "grown", "json", "noise"]))
    place = int(data.draw(st.floats(0, 1, exclude_max=True)) * len(whole))
    flipped = bytes([whole[place] ^ (1 << data.draw(st.integers(0, 7)))])
    ways = {
        "cut": whole[:place],
        "flip": whole[:place] + flipped + whole[place + 1 :],
        "gone": None,
        "empty": b"",
        "grown": whole + data.draw(st.binary(min_size=1, max_size=9)),
        "json": json.dumps(data.draw(_json)).encode(),
        "noise": data.draw(st.binary(max_size=200)),
    }
    return ways[how]


@fuzz
@given(data=st.data())
def test_any_file_spoilt(digits: Path, untouched: dict[str, bytes], data: st.DataObject) -> None:
    """Unsealed, as accidents are: whichever file it is and whatever became of it, the refusal names it."""
    _restore(digits, untouched)
    name = data.draw(st.sampled_from(sorted(untouched)))
    spoilt = _spoilt(data, untouched[name])
    assert spoilt != untouched[name]
    if spoilt is None:
        (digits / name).unlink()
    else:
        (digits / name).write_bytes(spoilt)
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        open_bundle(digits)


def test_restore_restores(digits: Path, untouched: dict[str, bytes]) -> None:
    """What the tests above start from is sound."""
    shutil.rmtree(digits)
    digits.mkdir()
    _restore(digits, untouched)
    _use(digits)
