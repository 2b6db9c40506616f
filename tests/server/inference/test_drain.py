"""When it is worth coming back, by what executions took."""

import pytest

from genrestack_server.inference.batcher import ThroughputEstimator


def test_a_second_before_anything_is_known() -> None:
    assert ThroughputEstimator().retry_after(1_000_000) == 1.0


@pytest.mark.parametrize(("rows", "seconds"), [(1, 0.02), (50, 0.05), (1000, 1.0), (100_000, 5.0)])
def test_as_long_as_so_many_rows_took_within_bounds(rows: int, seconds: float) -> None:
    rate = ThroughputEstimator()
    rate.note(1000, 1.0)
    assert rate.retry_after(rows) == pytest.approx(seconds)


def test_the_latest_executions_count_most() -> None:
    rate = ThroughputEstimator()
    rate.note(1000, 1.0)
    rate.note(100, 10.0)
    # The first counts a quarter: it lies two half-lives back.
    assert rate.retry_after(35) == pytest.approx(35 * 10.25 / 350)
