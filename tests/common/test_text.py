"""Text for people: bounded, printable, whatever it is made of."""

import numpy as np
import pytest

from genrestack_common.text import clipped, closest, counted, did_you_mean, listed, printable, quoted


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\n", r"'a\n'"),
        ("", "''"),
        (np.str_("a"), "'a'"),
        (12, "12"),
        (None, "None"),
        (b"\xff", r"b'\xff'"),
        ([1, 2], "[1, 2]"),
    ],
)
def test_values_are_quoted(value: object, shown: str) -> None:
    assert quoted(value) == shown


def test_long_values_are_cut_before_they_are_quoted() -> None:
    assert quoted("x" * 48) == repr("x" * 48)
    assert quoted("x" * 49) == repr("x" * 47 + "…")
    assert quoted("x" * 1000, limit=10) == repr("x" * 9 + "…")
    assert len(quoted("\N{GRINNING FACE}\n" * 10**6)) < 500
    assert len(quoted([["x" * 100] * 100] * 100)) < 10_000
    assert len(quoted(10**100)) <= 48
    assert quoted(10**5000) == "<int>"


def test_what_steers_a_terminal_is_escaped() -> None:
    assert printable("a\x1b[31m\r\n\u202e\x9b é метал") == r"a\x1b[31m\r\n\u202e\x9b é метал"


def test_long_lists_are_cut() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(map(str, range(20)), limit=2) == "0, 1 and 18 more"
    assert listed((str(n) for n in range(10**6)), limit=2) == "0, 1 and 999998 more"
    assert listed([]) == ""


def test_bytes_are_counted_where_text_is_clipped() -> None:
    assert clipped("é" * 100, 20) == "é" * 8 + "…"
    assert clipped("é" * 10**7, 20) == "é" * 8 + "…"
    assert clipped("short", 20) == "short"


def test_nouns_take_their_number() -> None:
    assert [counted(n, "row") for n in (0, 1, 2, 1000)] == ["0 rows", "1 row", "2 rows", "1,000 rows"]


def test_what_was_meant_is_found() -> None:
    known = ["tempo", "rms_mean", "Port"]
    assert closest("tempp", known) == "tempo"
    assert closest("PORT", known) == "Port"
    assert closest("zebra", known) is None
    assert did_you_mean("tempp", known) == "; did you mean tempo?"
    assert did_you_mean("zebra", known) == "; there are Port, rms_mean, tempo"
    # The same in other letters is found among any number; what looks alike only among few.
    many = [f"feature {n}" for n in range(10**5)]
    assert closest("FEATURE 99999", many) == "feature 99999"
    assert closest("feature99999", many) is None
