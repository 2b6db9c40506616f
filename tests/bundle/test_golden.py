"""golden.npz is read as if a stranger had written it."""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from bundle.processes import run_script
from bundle.reseal import replace

from genrestack_bundle import BundleError, Golden, open_bundle
from genrestack_bundle.golden import pack, unpack
from genrestack_bundle.layout import MAX_GOLDEN_BYTES

Arrays = dict[str, npt.NDArray[Any]]
KNN = "part." + b"knn".hex()


@pytest.fixture
def golden(digits: Path) -> Golden:
    return open_bundle(digits).golden


@pytest.fixture
def arrays(digits: Path) -> Arrays:
    with np.load(digits / "golden.npz", allow_pickle=False) as file:
        return dict(file)


def _npz(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=True)
            archive.writestr(f"{name}.npy", content.getvalue())
    return buffer.getvalue()


def _npy(header: str, content: bytes = b"", version: bytes = b"\1\0") -> bytes:
    text = header.encode()
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + content


def _zip(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _refused(digits: Path, data: bytes, complaint: str = r"golden\.npz cannot be read") -> None:
    replace(digits, "golden.npz", data)
    with pytest.raises(BundleError, match=complaint):
        open_bundle(digits)


def test_there_and_back(golden: Golden) -> None:
    again = unpack(pack(golden))
    assert again.rows.dtype == np.float32
    assert again.class_index.dtype == np.int64
    for found, expected in (
        (again.rows, golden.rows),
        (again.class_index, golden.class_index),
        (again.probabilities, golden.probabilities),
        (again.parts["knn"], golden.parts["knn"]),
    ):
        assert np.array_equal(found, expected)


def test_order_in_memory_does_not_matter(golden: Golden) -> None:
    by_column = Golden(
        np.asfortranarray(golden.rows),
        golden.class_index,
        np.asfortranarray(golden.probabilities),
        {"a/b Ü": golden.probabilities[:, ::-1]},
    )
    again = unpack(pack(by_column))
    assert np.array_equal(again.rows, golden.rows)
    assert np.array_equal(again.parts["a/b Ü"], golden.probabilities[:, ::-1])


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip", b"PK\5\6" + bytes(18), bytes(1000)])
def test_no_zip(digits: Path, data: bytes) -> None:
    _refused(digits, data)


class Trap:
    """Says so when it is unpickled."""

    sprung = False

    def __reduce__(self) -> tuple[Any, ...]:
        return setattr, (Trap, "sprung", True)


@pytest.mark.parametrize("name", ["rows", "class_index", "probabilities", KNN])
def test_pickled_objects_are_not_unpickled(digits: Path, arrays: Arrays, name: str) -> None:
    _refused(digits, _npz(arrays | {name: np.array([[Trap()]], dtype=object)}))
    assert not Trap.sprung


def test_plain_pickle_is_not_unpickled(digits: Path) -> None:
    _refused(digits, pickle.dumps(Trap()))
    assert not Trap.sprung


MISFITS: dict[str, Callable[[Arrays], Arrays]] = {
    "fewer rows": lambda a: a | {"rows": a["rows"][:-1]},
    "no rows": lambda a: {name: array[:0] for name, array in a.items()},
    "rows of one dimension": lambda a: a | {"rows": a["rows"].ravel()},
    "rows of three dimensions": lambda a: a | {"rows": a["rows"][:, :, None]},
    "class index of two dimensions": lambda a: a | {"class_index": a["class_index"][:, None]},
    "probabilities of one dimension": lambda a: a | {"probabilities": a["probabilities"][:, 0]},
    "part of fewer classes": lambda a: a | {KNN: a[KNN][:, :-1]},
}


UNUSABLE: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "a row of NaN": (lambda a: a | {"rows": a["rows"] * np.float32(np.nan)}, "not finite"),
    "infinite rows": (lambda a: a | {"rows": np.full_like(a["rows"], np.inf)}, "not finite"),
    "probabilities of NaN": (lambda a: a | {"probabilities": a["probabilities"] * np.nan}, "not finite"),
    "infinite probabilities of a part": (lambda a: a | {KNN: a[KNN] + np.inf}, "not finite"),
    "a class too many": (lambda a: a | {"class_index": a["class_index"] + 10}, "names classes"),
    "a class before the first": (lambda a: a | {"class_index": a["class_index"] - 10}, "names classes"),
    "rows for minutes": (
        lambda a: {name: np.resize(array, (10_001, *array.shape[1:])) for name, array in a.items()}, "10001 rows"
    ),
}  # fmt: skip


@pytest.mark.parametrize("unusable", UNUSABLE)
def test_arrays_that_prove_nothing(digits: Path, arrays: Arrays, unusable: str) -> None:
    change, complaint = UNUSABLE[unusable]
    _refused(digits, _npz(change(arrays)), rf"golden\.npz .*{complaint}")


def test_two_arrays_of_one_name(digits: Path, arrays: Arrays) -> None:
    buffer = io.BytesIO(_npz(arrays))
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("rows.npy", b"")
    _refused(digits, buffer.getvalue())


@pytest.mark.parametrize("misfit", MISFITS)
def test_shapes_that_do_not_fit_together(digits: Path, arrays: Arrays, misfit: str) -> None:
    _refused(digits, _npz(MISFITS[misfit](arrays)), r"golden\.npz holds arrays that do not fit")


OTHERS: dict[str, Callable[[Arrays], Arrays]] = {
    "fewer features": lambda a: a | {"rows": a["rows"][:, :-1]},
    "a part less": lambda a: {name: array for name, array in a.items() if name != KNN},
    "a part more": lambda a: a | {"part." + b"mlp".hex(): a[KNN]},
}


@pytest.mark.parametrize("other", OTHERS)
def test_golden_rows_of_another_model(digits: Path, arrays: Arrays, other: str) -> None:
    _refused(digits, _npz(OTHERS[other](arrays)), r"golden\.npz is of another model")


DAMAGED: dict[str, Callable[[Arrays], Arrays]] = {
    "rows missing": lambda a: {name: array for name, array in a.items() if name != "rows"},
    "float64 rows": lambda a: a | {"rows": a["rows"].astype(np.float64)},
    "complex rows": lambda a: a | {"rows": a["rows"].astype(np.complex64)},
    "text": lambda a: a | {"rows": a["rows"].astype(str)},
    "structured": lambda a: a | {"rows": np.zeros(3, dtype=[("a", "f4")])},
    "part name no hex": lambda a: a | {"part.zz": a[KNN]},
    "part name no text": lambda a: a | {"part.ff": a[KNN]},
}


@pytest.mark.parametrize("damaged", DAMAGED)
def test_arrays_of_another_kind(digits: Path, arrays: Arrays, damaged: str) -> None:
    _refused(digits, _npz(DAMAGED[damaged](arrays)))


HEADERS = {
    "cut off": b"\x93NUM",
    "later version": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n", bytes(4), b"\3\0"),
    "more than memory": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 64), }\n"),
    "more than a machine word": _npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**30}, 64), }}\n"),
    "negative": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1), }\n", bytes(4)),
    "truth for a number": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (True, 1), }\n", bytes(8)),
    "code": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (print('sprung'),), }\n"),
    "no python": _npy("{'descr"),
    "open bracket": _npy("(" * 90),
    "very deep": _npy("-" * 9_000 + "1"),
    "nested": _npy("[" * 5_000),
    "by column": _npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }\n", bytes(8)),
    "big-endian": _npy("{'descr': '>f4', 'fortran_order': False, 'shape': (1, 2), }\n", bytes(8)),
    "fewer bytes": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }\n", bytes(7)),
    "more bytes": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }\n", bytes(9)),
}


@pytest.mark.parametrize("header", HEADERS)
def test_header_that_lies(header: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BundleError, match=r"golden\.npz cannot be read"):
        unpack(_zip({"rows.npy": HEADERS[header]}))
    assert "sprung" not in capsys.readouterr().out


def test_unpacking_to_more_than_the_bound(digits: Path) -> None:
    bomb = _zip({"rows.npy": bytes(MAX_GOLDEN_BYTES + 1)})
    assert len(bomb) < 2**20
    _refused(digits, bomb, r"golden\.npz unpacks to more than")


def test_announcing_less_than_it_unpacks_to() -> None:
    data = bytearray(_zip({"rows.npy": bytes(2**20)}))
    directory = data.index(b"PK\1\2")
    data[directory + 24 : directory + 28] = struct.pack("<I", 100)
    with pytest.raises(BundleError, match=r"golden\.npz cannot be read"):
        unpack(bytes(data))


_PEAK = """
import sys
from pathlib import Path
from genrestack_bundle import BundleError
from genrestack_bundle.golden import unpack

def peak_kib():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])

data = Path(sys.argv[1]).read_bytes()
before = peak_kib()
try:
    unpack(data)
except BundleError:
    print(peak_kib() - before)
"""


def test_announcing_less_costs_no_more_than_what_is_announced(tmp_path: Path) -> None:
    data = bytearray(_zip({"rows.npy": bytes(2**27)}))
    for mark, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        place = data.index(mark) + offset
        data[place : place + 4] = struct.pack("<I", 100)
    bomb = tmp_path / "bomb"
    bomb.write_bytes(data)
    assert int(run_script(_PEAK, bomb)) < 2**27 // 1024 // 4


def test_more_arrays_than_a_stack_has() -> None:
    many = _zip({f"part.{number:x}.npy": b"" for number in range(1001)}, zipfile.ZIP_STORED)
    with pytest.raises(BundleError, match="holds more than 1000 arrays"):
        unpack(many)


def test_encrypted_member() -> None:
    data = bytearray(_zip({"rows.npy": b"x"}, zipfile.ZIP_STORED))
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + offset] |= 1
    with pytest.raises(BundleError, match=r"golden\.npz cannot be read"):
        unpack(bytes(data))


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_compression(compression: int) -> None:
    """Each decompressor has exceptions of its own."""
    whole = _zip({"rows.npy": np.random.default_rng(0).bytes(500)}, compression)
    for place in range(38, 300, 7):
        data = bytearray(whole)
        data[place] ^= 0xFF
        with pytest.raises(BundleError, match=r"golden\.npz cannot be read"):
            unpack(bytes(data))
