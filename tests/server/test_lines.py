"""What an execution takes, and in which order: every rule, on numbers alone."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from genrestack_server.inference.request_queue import URGENT_RUN, Lines, Piece, Waiting


@dataclass(slots=True, eq=False, kw_only=True)
class Named(Waiting):
    name: str


def job(name: str, rows: int = 1, *, version: str = "v", urgent: bool = False, deadline: float | None = None) -> Named:
    return Named(name=name, rows=rows, version=version, urgent=urgent, deadline=deadline)


def taken(lines: Lines[Named], now: float = 0.0) -> list[tuple[str, int, int]]:
    return [(piece.job.name, piece.start, piece.stop) for piece in lines.take(now).pieces]


def filled(most_rows: int, *jobs: Named, sharing: bool = True) -> Lines[Named]:
    lines: Lines[Named] = Lines(most_rows, sharing=sharing)
    for each in jobs:
        lines.put(each)
    return lines


def test_what_waits_is_taken_together_in_the_order_it_came() -> None:
    lines = filled(10, job("a", 2), job("b", 3), job("c", 1))
    assert lines.rows == 6
    assert taken(lines) == [("a", 0, 2), ("b", 0, 3), ("c", 0, 1)]
    assert lines.rows == 0
    assert taken(lines) == []


def test_an_execution_is_full_and_the_rest_goes_first_next_time() -> None:
    lines = filled(4, job("a", 3), job("b", 3), job("c", 2))
    assert taken(lines) == [("a", 0, 3), ("b", 0, 1)]
    assert taken(lines) == [("b", 1, 3), ("c", 0, 2)]


def test_a_large_request_goes_to_the_back_after_each_turn() -> None:
    lines = filled(4, job("huge", 13), job("a"), job("b", 2))
    assert taken(lines) == [("huge", 0, 4)]
    assert taken(lines) == [("a", 0, 1), ("b", 0, 2), ("huge", 4, 5)]
    lines.put(job("c"))
    assert taken(lines) == [("huge", 5, 8), ("c", 0, 1)]
    assert taken(lines) == [("huge", 8, 12)]
    assert taken(lines) == [("huge", 12, 13)]


def test_a_single_row_waits_for_one_turn_of_a_large_request_at_most() -> None:
    lines = filled(64, job("huge", 65_536))
    for number in range(500):
        taken(lines)
        lines.put(job(f"one-{number}"))
        both = taken(lines) + taken(lines)
        assert (f"one-{number}", 0, 1) in both


def test_urgent_goes_first_and_every_fourth_time_the_others_do() -> None:
    lines = filled(2, *(job(f"u{n}", urgent=True) for n in range(20)), *(job(f"n{n}") for n in range(20)))
    first = [taken(lines)[0][0][0] for _ in range(8)]
    assert first == ["u", "u", "u", "n"] * 2
    assert URGENT_RUN == 3


def test_what_is_not_urgent_fills_up_an_urgent_execution() -> None:
    lines = filled(3, job("n1"), job("u", urgent=True), job("n2"))
    assert taken(lines) == [("u", 0, 1), ("n1", 0, 1), ("n2", 0, 1)]


def test_versions_never_mix_and_take_turns() -> None:
    lines = filled(8, job("a1", version="a"), job("b1", version="b"), job("a2", version="a"), job("c1", version="c"))
    assert taken(lines) == [("a1", 0, 1), ("a2", 0, 1)]
    lines.put(job("a3", version="a"))
    assert taken(lines) == [("b1", 0, 1)]
    assert taken(lines) == [("c1", 0, 1)]
    assert taken(lines) == [("a3", 0, 1)]


def test_a_version_with_urgent_requests_goes_before_others() -> None:
    lines = filled(8, job("a1", version="a"), job("b1", version="b", urgent=True))
    assert taken(lines) == [("b1", 0, 1)]


def test_what_is_late_is_not_taken() -> None:
    late, early = job("late", 3, deadline=5.0), job("early", deadline=5.1)
    lines = filled(8, late, early)
    found = lines.take(5.0)
    assert found.late == [late]
    assert [piece.job for piece in found.pieces] == [early]
    assert lines.rows == 0


def test_nothing_but_late_requests() -> None:
    lines = filled(8, job("a", deadline=1.0), job("b", version="w", deadline=1.0, urgent=True))
    found = lines.take(2.0)
    assert (len(found.late), found.pieces, lines.rows) == (2, [], 0)


def test_whoever_leaves_is_not_taken() -> None:
    first, second = job("a", 7), job("b", 2)
    lines = filled(4, first, second)
    lines.take(0.0)
    lines.leave(first)
    assert lines.rows == 2
    lines.leave(first)
    assert taken(lines) == [("b", 0, 2)]
    lines.leave(second)
    assert lines.rows == 0


def test_without_sharing_each_request_has_executions_of_its_own() -> None:
    lines = filled(4, job("a", 6), job("b"), job("c", urgent=True), sharing=False)
    assert taken(lines) == [("c", 0, 1)]
    assert taken(lines) == [("a", 0, 4)]
    assert taken(lines) == [("b", 0, 1)]
    assert taken(lines) == [("a", 4, 6)]


_jobs = st.tuples(st.integers(1, 40), st.sampled_from("ab"), st.booleans(), st.none() | st.integers(0, 30).map(float))
_steps = st.lists(st.one_of(_jobs, st.just("take"), st.integers(0, 30)), max_size=60)


@settings(max_examples=300, deadline=None)
@given(most=st.integers(1, 20), sharing=st.booleans(), steps=_steps)
def test_every_row_is_taken_once_in_order_or_its_request_is_late_or_left(
    most: int, sharing: bool, steps: list[tuple[int, str, bool, float | None] | str | int]
) -> None:
    lines: Lines[Named] = Lines(most, sharing=sharing)
    put: list[Named] = []
    over: set[Named] = set()
    got: dict[Named, int] = {}

    def check(pieces: list[Piece[Named]], now: float) -> None:
        assert sum(piece.stop - piece.start for piece in pieces) <= most
        assert len({piece.job.version for piece in pieces}) <= 1
        assert sharing or len(pieces) <= 1
        for piece in pieces:
            assert piece.job not in over
            assert piece.job.deadline is None or now < piece.job.deadline
            assert piece.start == got.get(piece.job, 0) < piece.stop <= piece.job.rows
            got[piece.job] = piece.stop

    def waiting() -> int:
        return sum(each.rows - got.get(each, 0) for each in put if each not in over)

    for now, step in enumerate([*steps, *["take"] * 200]):
        if isinstance(step, tuple):
            rows, version, urgent, deadline = step
            put.append(job(str(now), rows, version=version, urgent=urgent, deadline=deadline))
            lines.put(put[-1])
        elif step == "take":
            room = waiting()
            found = lines.take(float(now))
            check(found.pieces, now)
            assert bool(found.pieces or found.late) == bool(room)
            over.update(found.late)
            if not lines.rows:
                continue
            same = [each for each in put if each not in over and each.version == found.pieces[0].job.version]
            if sharing and any(got.get(each, 0) < each.rows for each in same):
                assert sum(piece.stop - piece.start for piece in found.pieces) == most
        elif put:
            left = put[int(step) % len(put)]
            over.add(left)
            lines.leave(left)
        assert lines.rows == waiting()
    assert lines.rows == 0
