"""Tables as people have them: how one is packed and written, and the numbers in it."""

import io
import lzma
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from support.samples.tables import PACK, zipped

from genrestack_common.tables.dialect import find_encoding, sniff, text_stream
from genrestack_common.tables.errors import TableFileError
from genrestack_common.tables.numbers import decimal_mark, plain_number, unwrapped
from genrestack_common.tables.packing import is_parquet, is_text_table, unpacked

CONTENT = b"a,label\n1,x\n" * 1000
MIB = 2**20


def read(name: str, packed: bytes) -> bytes:
    with unpacked(name, io.BytesIO(packed)) as stream:
        return stream.read()


@pytest.mark.parametrize("ending", ["", *PACK])
def test_packed_tables_are_read(ending: str) -> None:
    assert read(f"t.csv{ending}", PACK.get(ending, bytes)(CONTENT)) == CONTENT


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz"])
def test_several_packed_one_after_the_other_are_one(ending: str) -> None:
    assert read(f"t.csv{ending}", PACK[ending](CONTENT) + PACK[ending](CONTENT)) == CONTENT * 2


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize(
    "harm",
    [
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:-1],
        lambda _: CONTENT,
        lambda _: b"",
        lambda packed: packed[:45] + bytes([packed[45] ^ 255]) + packed[46:],
    ],
    ids=["half", "one byte less", "not packed", "empty", "one byte other"],
)
def test_what_is_not_packed_so_is_refused(ending: str, harm: Callable[[bytes], bytes]) -> None:
    harmed = harm(PACK[ending](CONTENT))
    if ending == ".gz" and not harmed:
        assert read(f"t.csv{ending}", harmed) == b""  # Python takes an empty file for an empty text
        return
    with pytest.raises(TableFileError, match=r"is not a whole \w+ file|holds no table"):
        read(f"t.csv{ending}", harmed)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no table .*: nothing; pack one table"),
        ({"a.mp3": b"", "b.pdf": b""}, "holds no table .*: 'a.mp3', 'b.pdf'; pack one table"),
        ({"a.csv": b"", "b/c.TSV": b"", "d.txt": b""}, "holds 3 tables: 'a.csv', 'b/c.TSV', 'd.txt'; pack one table"),
        ({"a.parquet": b""}, "holds no table"),
        ({f"{i}.csv": b"" for i in range(900)}, "holds 900 tables: .* and 895 more"),
        ({f"{'x' * 200}{i}.csv": b"" for i in range(9000)}, "holds too many files"),
    ],
)
def test_a_zip_of_another_number_of_tables(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(TableFileError, match=message):
        read("t.zip", zipped(files))


def test_what_a_system_puts_into_a_zip_is_passed_over() -> None:
    files = {"__MACOSX/._t.csv": b"no", "dir/.hidden.csv": b"no", "readme.md": b"no", "dir/": b"", "dir/t.csv": CONTENT}
    assert read("t.csv.zip", zipped(files)) == CONTENT


def test_zips_that_are_not_read() -> None:
    with pytest.raises(TableFileError, match="is packed by a method that is not read"):
        read("t.zip", zipped({"t.csv": CONTENT}, zipfile.ZIP_LZMA))
    locked = bytearray(zipped({"t.csv": CONTENT}))
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        locked[locked.find(mark) + place] |= 1
    with pytest.raises(TableFileError, match="is locked with a password"):
        read("t.zip", bytes(locked))


def test_an_xz_that_asks_for_more_memory_than_there_may_be() -> None:
    compressor = lzma.LZMACompressor(filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}])
    packed = bytearray(compressor.compress(b"a") + compressor.flush())
    assert lzma.decompress(bytes(packed)) == b"a"
    # The dictionary's size stands in the block's header, behind which its checksum is.
    at = packed.find(b"\x21\x01", 12) + 2
    packed[at] = 36  # 1 GiB
    start, length = 12, (packed[12] + 1) * 4
    packed[start + length - 4 : start + length] = zlib.crc32(packed[start : start + length - 4]).to_bytes(4, "little")
    with pytest.raises(TableFileError, match="takes more than 256 MiB of memory to unpack"):
        read("t.csv.xz", bytes(packed))


@pytest.mark.parametrize("ending", PACK)
def test_nothing_is_unpacked_that_is_not_read(ending: str) -> None:
    with unpacked(f"t.csv{ending}", io.BytesIO(PACK[ending](bytes(64 * MIB)))) as stream:
        assert len(stream.read(MIB)) == MIB


@pytest.mark.parametrize(
    ("name", "text", "parquet"),
    [
        ("a.csv", True, False), ("A.TSV.GZ", True, False), ("a.txt.xz", True, False), ("a.zip", True, False),
        ("a.csv.bz2", True, False), ("a.parquet", False, True), ("a.PQ", False, True), ("a.xlsx", False, False),
        ("a.gz", False, False), ("a.tar.gz", False, False), ("a.wav", False, False), ("csv", False, False),
    ],
)  # fmt: skip
def test_kinds_by_name(name: str, text: bool, parquet: bool) -> None:
    assert (is_text_table(name), is_parquet(name)) == (text, parquet)


VALUES = [np.float64(123.046875), np.float32(89.25), np.int64(-4), np.float64(1e-30), np.float64(2e22)]


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize(
    "write",
    [
        str, repr, lambda v: str([v]), lambda v: str((v,)), lambda v: repr(np.array([v])), lambda v: str(np.array([v])),
        lambda v: repr(np.array(v)), lambda v: repr(np.array([[v]])), lambda v: f"[ {v} ]", lambda v: f" [{v},] ",
        lambda v: repr(np.array([v], dtype="float32")), lambda v: f"array([{v}], dtype=float32)",
        lambda v: f"np.array([{v}])", lambda v: f"numpy.float64({v})", lambda v: f"Array([{v}], dtype=float32)",
        lambda v: f"tensor([{v}], device='cuda:0')", lambda v: f"tensor({v})", lambda v: f"{v}",
    ],
)  # fmt: skip
def test_a_number_in_every_form_that_numpy_prints(value: np.generic, write: Callable[[object], str]) -> None:
    assert np.float32(float(unwrapped(write(value)))) == np.float32(value)


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]", "[1. 2.]", "array([1., 2.])", "(89.1)", "", "[]", "array([])", "[", "np.float64(", "x[1]", "[1]]",
        "np.float64(1), np.float64(2)", "[np.float64(1), np.float64(2)]", "1 2", "slow", "range(3)", "f(3)",
        "[" * 100_000, "[1" + " " * 100_000 + "]", "array(" * 1000, "1,5", "[1,5]", "np.float64(1,5)",
    ],
)  # fmt: skip
def test_what_is_not_one_number_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="could not convert"):
        float(unwrapped(text))


@pytest.mark.parametrize(
    ("cells", "mark"),
    [
        (["1", "2"], "."), (["0.5"], "."), (["0,5", "12"], ","), (["-12,5e-3"], ","), ([",5"], ","),
        (["12,304"], "."), (["12,304", "0,304"], ","), (["1,234,567"], "."), (["1,234.5"], "."),
        (["0,5", "0.5"], "."), (["0,5", "rock"], "."), (["0,5", ""], ","), ([], "."), (["0,5", "1,234,567"], "."),
    ],
)  # fmt: skip
def test_the_decimal_mark_of_a_column(cells: list[str], mark: str) -> None:
    assert decimal_mark([cells]) == mark


def test_the_decimal_mark_of_a_table() -> None:
    assert decimal_mark([["12,304"], ["0,5"], ["Smith, John"]]) == ","
    assert decimal_mark([["12,304"], ["0.5"]]) == "."
    assert decimal_mark([["0,5"], ["0.5"]]) == "."


@pytest.mark.parametrize(
    ("text", "decimal", "read"),
    [
        ("0,5", ",", 0.5),
        ("[12.5]", ",", 12.5),
        ("12,304", ",", 12.304),
        ("12", ",", 12.0),
        ("-1,5e3", ",", -1500.0),
        ("0.5", ".", 0.5),
    ],
)
def test_numbers_with_the_tables_mark(text: str, decimal: str, read: float) -> None:
    assert float(plain_number(text, decimal)) == read


@pytest.mark.parametrize(
    ("text", "decimal"),
    [("0.5", ","), ("1.234", ","), ("1.234,5", ","), ("1,234.5", ","), ("0,5", "."), ("12,304", "."), ("1,2,3", ",")],
)
def test_numbers_with_another_mark_are_none(text: str, decimal: str) -> None:
    with pytest.raises(ValueError, match="could not convert"):
        float(plain_number(text, decimal))


HEADER = ("a", "b", "label")
TABLES = {
    "commas": "a,b,label\n1,0.5,x\n2,1.5,y\n",
    "semicolons": "a;b;label\n1;0.5;x\n2;1.5;y\n",
    "semicolons and decimal commas": "a;b;label\n1;0,5;x\n2;1,5;y\n",
    "tabs": "a\tb\tlabel\n1\t0.5\tx\n2\t1.5\ty\n",
    "tabs and decimal commas": "a\tb\tlabel\n1\t0,5\tx\n2\t1,5\ty\n",
    "bars": "a|b|label\n1|0.5|x\n2|1.5|y\n",
    "quoted decimal commas": '"a","b","label"\n"1","0,5","x"\n"2","1,5","y"\n',
    "CRLF": "a,b,label\r\n1,0.5,x\r\n2,1.5,y\r\n",
    "CR": "a,b,label\r1,0.5,x\r2,1.5,y\r",
    "no last line end": "a,b,label\n1,0.5,x\n2,1.5,y",
    "blanks after commas": "a, b, label\n1, 0.5, x\n2, 1.5, y\n",
    "blanks and quotes": 'a, "b", "label"\n1, 0.5, "x"\n2, 1.5, "y"\n',
    "sep=": "sep=;\na;b;label\n1;0.5;x\n2;1.5;y\n",
    "sep= in quotes": '"sep=;"\r\na;b;label\r\n1;0,5;x\r\n2;1,5;y\r\n',
    "sep= a tab": "sep=\t\na\tb\tlabel\n1\t0.5\tx\n2\t1.5\ty\n",
    "comments": "# made by hand, on Monday\n% with care\n\na,b,label\n1,0.5,x\n2,1.5,y\n",
    "a quote in a comment": '# 5" speakers\na,b,label\n1,0.5,x\n2,1.5,y\n',
    "a header in a comment": "# a,b,label\n1,0.5,x\n2,1.5,y\n",
    "comments over a header in a comment": "# one\n# two, words\n# a;b;label\n1;0,5;x\n2;1,5;y\n",
    "blank lines": "\n  \n\na,b,label\n\n1,0.5,x\n\n2,1.5,y\n\n",
    "commas in quotes": 'a;b;label\n1;0.5;"x"\n2;1.5;y\n',
}
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES.keys())
def test_dialects(text: str, encoding: str) -> None:
    content = text.encode(encoding)
    dialect = sniff(io.BytesIO(content))
    assert dialect.header == HEADER
    assert dialect.decimal == ("," if "0,5" in text else ".")
    rest = text_stream(io.BytesIO(content), dialect)
    frame = pd.read_csv(rest, sep=dialect.separator, decimal=dialect.decimal, skipinitialspace=True)
    assert frame.to_numpy().tolist() == [[1, 0.5, "x"], [2, 1.5, "y"]]


@pytest.mark.parametrize(
    ("text", "header", "separator"),
    [
        ("track,artists\n1,Gen;X\n2,A;B;C\n", ("track", "artists"), ","),
        ("a;b, c;label\n1;2;x\n", ("a", "b, c", "label"), ";"),
        ("a,b,label\n1,2,x\n1,2,x,3\n4,5,y\n", ("a", "b", "label"), ","),
        ("0,1,2,label\n0.5,1.5,2.5,x\n", ("0", "1", "2", "label"), ","),
        ("125,250.5,500,1000,2000,label\n1,2,3,4,5,x\n", ("125", "250.5", "500", "1000", "2000", "label"), ","),
        ("#,a,label\n1,2,x\n", ("#", "a", "label"), ","),
        ("#beats,a,label\n1,2,x\n", ("#beats", "a", "label"), ","),
        ("%silence,a,label\n1,2,x\n", ("%silence", "a", "label"), ","),
        ("a\n1\n2\n", ("a",), ","),
        ("100,200,400,label\n1,2,3,x\n", ("100", "200", "400", "label"), ","),
        ("3,2,1,0,label\n1,2,3,4,x\n", ("3", "2", "1", "0", "label"), ","),
        ('"a\nb",label\n1,x\n', ("a\nb", "label"), ","),
        (",a,label\n0,1,x\n1,2,y\n", ("", "a", "label"), ","),
        ("", (), ","),
        ("\n\n# nothing\n", (), ","),
    ],
)
def test_headers(text: str, header: tuple[str, ...], separator: str) -> None:
    dialect = sniff(io.BytesIO(text.encode()))
    assert (dialect.header, dialect.separator) == (header, separator)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blues.wav,0.35,0.08,0.13,blues\njazz.wav,0.34,0.09,0.09,jazz\n", r"has no header: .* \('0.35'\)"),
        ("5,0,0,0,12\n4,0,0,3,1\n", "has no header"),
        ("0.5;0.25;x\n0.6;2;y\n", "has no header"),
        ("1,2,x\n3,4,y\n5,6,x\n", "has no header"),
        ("1,2,3,4,5,6,x\n3,4,5,6,7,8,x\n", "has no header"),
        ("1,5;2,5;x\n3,5;4,5;y\n", "has no header"),
        ("f,c,c,z\ns,mean,var,mean\nn,01,01,01\nid,,,\n2,0.1,0.2,0.3\n3,0.1,0.2,0.3\n", "has a header of 4 lines"),
        ("f,c,m\ns,mean,var\nid,,\n2,0.1,0.2\n3,0.1,0.2\n", "has a header of 3 lines"),
        ("c,c,label\nmean,var,\n0.1,0.2,x\n", "has a header of 2 lines"),
        ("a b label\n1 2 x\n", "separates its columns with blanks"),
        ("a   b  label\n1   2    x\n", "separates its columns with blanks"),
        ('"' + "a" * 200_000, "first line holds no column names"),
    ],
)
def test_headers_that_are_none(text: str, message: str) -> None:
    with pytest.raises(TableFileError, match=message):
        sniff(io.BytesIO(text.encode()))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_are_found_by_their_bytes(encoding: str) -> None:
    found, mark = find_encoding("a,b\nü,♪\n".encode(encoding))
    assert "a,b\nü,♪\n".encode(encoding)[mark:].decode(found) == "a,b\nü,♪\n"
