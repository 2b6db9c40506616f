"""The figures of a run, as they are printed and written."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from genrestack.cli.bench.drive import LoadRun
from genrestack.cli.bench.plan import Plan
from genrestack.cli.bench.record import quantiles
from genrestack.cli.bench.server_side import ServerFigures

SHARES: Final = (0.5, 0.9, 0.99, 0.999)
NAMES: Final = ("p50", "p90", "p99", "p99.9")
BUSY: Final = 0.85
"""Share of a core from which on the client itself may be what is slow."""


@dataclass(frozen=True)
class BenchResult:
    """What a load came to; all times in seconds."""

    seconds: float
    answered: int
    failed: dict[str, int]
    """Requests by the status they ended in, where that was not OK."""
    requests_per_second: float
    rows_per_second: float
    latency: dict[str, float]
    """Of the answered ones, from when each should have been sent: min, mean, p50, p90, p99, p99.9, max."""
    sent_late: dict[str, float]
    """How much later than planned this client sent: p50, p99, max; of a rate alone."""
    client_cpu: float
    """CPU this client took, in shares of one core."""
    server: ServerFigures | None
    """What the server counted, if it was asked."""

    @classmethod
    def of(cls, plan: Plan, run: LoadRun, server: ServerFigures | None) -> "BenchResult":
        """Sum up."""
        latencies = run.calls.latencies
        # In the time, as it was meant: what came later was answered, but not at this rate.
        answered = int((run.calls.good & (run.calls.ended <= run.begin + run.seconds)).sum())
        values = quantiles(latencies, SHARES)
        latency = (
            {"min": float(latencies.min()), "mean": float(latencies.mean())}
            | dict(zip(NAMES, values, strict=True))
            | {"max": float(latencies.max())}
            if values
            else {}
        )
        late = {}
        if plan.rate is not None and len(run.calls.late):
            late = dict(zip(("p50", "p99", "max"), quantiles(run.calls.late, (0.5, 0.99, 1.0)), strict=True))
        return cls(
            seconds=run.seconds,
            answered=len(latencies),
            failed=dict(run.calls.failures.most_common()),
            requests_per_second=answered / run.seconds,
            rows_per_second=answered * plan.rows / run.seconds,
            latency=latency,
            sent_late=late,
            client_cpu=run.client_cpu,
            server=server,
        )

    def to_dict(self) -> dict[str, Any]:
        """Make what JSON can hold."""
        return asdict(self)

    @property
    def doubts(self) -> list[str]:
        """What speaks against taking the figures as the server's."""
        found = []
        if self.client_cpu > BUSY:
            found.append(
                f"this client itself took {self.client_cpu:.0%} of a core: the server may be faster than it could ask; "
                "load it from several at once, or with more rows a request"
            )
        if self.sent_late and self.latency and self.sent_late["p99"] > max(0.002, 0.2 * self.latency["p50"]):
            found.append(
                f"this client sent up to {self.sent_late['p99'] * 1000:.1f} ms late (p99), which is within the "
                "latencies; a quieter machine or a lower rate tells more"
            )
        return found
