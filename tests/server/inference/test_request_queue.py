"""What an execution takes, and in which order: every rule, on numbers alone."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from genrestack_server.inference.request_queue import HIGH_PRIORITY_RUN, QueuedRequest, RequestQueue, RowSlice


@dataclass(slots=True, eq=False, kw_only=True)
class Named(QueuedRequest):
    name: str


def request(
    name: str, rows: int = 1, *, version: str = "v", high_priority: bool = False, deadline: float | None = None
) -> Named:
    return Named(name=name, rows=rows, version=version, high_priority=high_priority, deadline=deadline)


def taken(queues: RequestQueue[Named], now: float = 0.0) -> list[tuple[str, int, int]]:
    return [(part.request.name, part.start, part.stop) for part in queues.take(now).slices]


def filled(max_batch_rows: int, *requests: Named, batching: bool = True) -> RequestQueue[Named]:
    queues: RequestQueue[Named] = RequestQueue(max_batch_rows, batching=batching)
    for each in requests:
        queues.put(each)
    return queues


def test_what_waits_is_taken_together_in_the_order_it_came() -> None:
    queues = filled(10, request("a", 2), request("b", 3), request("c", 1))
    assert queues.rows == 6
    assert taken(queues) == [("a", 0, 2), ("b", 0, 3), ("c", 0, 1)]
    assert queues.rows == 0
    assert taken(queues) == []


def test_an_execution_is_full_and_the_rest_goes_first_next_time() -> None:
    queues = filled(4, request("a", 3), request("b", 3), request("c", 2))
    assert taken(queues) == [("a", 0, 3), ("b", 0, 1)]
    assert taken(queues) == [("b", 1, 3), ("c", 0, 2)]


def test_a_large_request_goes_to_the_back_after_each_turn() -> None:
    queues = filled(4, request("huge", 13), request("a"), request("b", 2))
    assert taken(queues) == [("huge", 0, 4)]
    assert taken(queues) == [("a", 0, 1), ("b", 0, 2), ("huge", 4, 5)]
    queues.put(request("c"))
    assert taken(queues) == [("huge", 5, 8), ("c", 0, 1)]
    assert taken(queues) == [("huge", 8, 12)]
    assert taken(queues) == [("huge", 12, 13)]


def test_a_single_row_waits_for_one_turn_of_a_large_request_at_most() -> None:
    queues = filled(64, request("huge", 65_536))
    for number in range(500):
        taken(queues)
        queues.put(request(f"one-{number}"))
        both = taken(queues) + taken(queues)
        assert (f"one-{number}", 0, 1) in both


def test_urgent_goes_first_and_every_fourth_time_the_others_do() -> None:
    queues = filled(
        2, *(request(f"u{n}", high_priority=True) for n in range(20)), *(request(f"n{n}") for n in range(20))
    )
    first = [taken(queues)[0][0][0] for _ in range(8)]
    assert first == ["u", "u", "u", "n"] * 2
    assert HIGH_PRIORITY_RUN == 3


def test_what_is_not_urgent_fills_up_an_urgent_execution() -> None:
    queues = filled(3, request("n1"), request("u", high_priority=True), request("n2"))
    assert taken(queues) == [("u", 0, 1), ("n1", 0, 1), ("n2", 0, 1)]


def test_versions_never_mix_and_take_turns() -> None:
    queues = filled(
        8,
        request("a1", version="a"),
        request("b1", version="b"),
        request("a2", version="a"),
        request("c1", version="c"),
    )
    assert taken(queues) == [("a1", 0, 1), ("a2", 0, 1)]
    queues.put(request("a3", version="a"))
    assert taken(queues) == [("b1", 0, 1)]
    assert taken(queues) == [("c1", 0, 1)]
    assert taken(queues) == [("a3", 0, 1)]


def test_a_version_with_urgent_requests_goes_before_others() -> None:
    queues = filled(8, request("a1", version="a"), request("b1", version="b", high_priority=True))
    assert taken(queues) == [("b1", 0, 1)]


def test_what_is_late_is_not_taken() -> None:
    expired, early = request("late", 3, deadline=5.0), request("early", deadline=5.1)
    queues = filled(8, expired, early)
    found = queues.take(5.0)
    assert found.expired == [expired]
    assert [part.request for part in found.slices] == [early]
    assert queues.rows == 0


def test_nothing_but_late_requests() -> None:
    queues = filled(8, request("a", deadline=1.0), request("b", version="w", deadline=1.0, high_priority=True))
    found = queues.take(2.0)
    assert (len(found.expired), found.slices, queues.rows) == (2, [], 0)


def test_a_request_that_leaves_is_not_taken() -> None:
    first, second = request("a", 7), request("b", 2)
    queues = filled(4, first, second)
    queues.take(0.0)
    queues.leave(first)
    assert queues.rows == 2
    queues.leave(first)
    assert taken(queues) == [("b", 0, 2)]
    queues.leave(second)
    assert queues.rows == 0


def test_without_sharing_each_request_has_executions_of_its_own() -> None:
    queues = filled(4, request("a", 6), request("b"), request("c", high_priority=True), batching=False)
    assert taken(queues) == [("c", 0, 1)]
    assert taken(queues) == [("a", 0, 4)]
    assert taken(queues) == [("b", 0, 1)]
    assert taken(queues) == [("a", 4, 6)]


_jobs = st.tuples(st.integers(1, 40), st.sampled_from("ab"), st.booleans(), st.none() | st.integers(0, 30).map(float))
_steps = st.lists(st.one_of(_jobs, st.just("take"), st.integers(0, 30)), max_size=60)


@settings(max_examples=300, deadline=None)
@given(most=st.integers(1, 20), batching=st.booleans(), steps=_steps)
def test_every_row_is_taken_once_in_order_or_its_request_is_late_or_left(
    most: int, batching: bool, steps: list[tuple[int, str, bool, float | None] | str | int]
) -> None:
    queues: RequestQueue[Named] = RequestQueue(most, batching=batching)
    put: list[Named] = []
    over: set[Named] = set()
    got: dict[Named, int] = {}

    def check(slices: list[RowSlice[Named]], now: float) -> None:
        assert sum(part.stop - part.start for part in slices) <= most
        assert len({part.request.version for part in slices}) <= 1
        assert batching or len(slices) <= 1
        for part in slices:
            assert part.request not in over
            assert part.request.deadline is None or now < part.request.deadline
            assert part.start == got.get(part.request, 0) < part.stop <= part.request.rows
            got[part.request] = part.stop

    def waiting() -> int:
        return sum(each.rows - got.get(each, 0) for each in put if each not in over)

    for now, step in enumerate([*steps, *["take"] * 200]):
        if isinstance(step, tuple):
            rows, version, high_priority, deadline = step
            put.append(request(str(now), rows, version=version, high_priority=high_priority, deadline=deadline))
            queues.put(put[-1])
        elif step == "take":
            room = waiting()
            found = queues.take(float(now))
            check(found.slices, now)
            assert bool(found.slices or found.expired) == bool(room)
            over.update(found.expired)
            if not queues.rows:
                continue
            same = [each for each in put if each not in over and each.version == found.slices[0].request.version]
            if batching and any(got.get(each, 0) < each.rows for each in same):
                assert sum(part.stop - part.start for part in found.slices) == most
        elif put:
            left = put[int(step) % len(put)]
            over.add(left)
            queues.leave(left)
        assert queues.rows == waiting()
    assert queues.rows == 0
