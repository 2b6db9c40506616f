"""Figures for people."""

from genrestack.cli.bench.figures import BenchResult


def lines(figures: BenchResult) -> list[tuple[str, str]]:
    """Return each figure with its name, in the order of interest."""
    told = [
        ("requests/s", f"{figures.requests_per_second:,.1f}"),
        ("rows/s", f"{figures.rows_per_second:,.1f}"),
        ("answered", f"{figures.answered:,} in {figures.seconds:.4g} s"),
        ("failed", ", ".join(f"{count:,} {code}" for code, count in figures.failed.items()) or "none"),
    ]
    if figures.latency:
        told += [(f"latency {name}", milliseconds(value)) for name, value in figures.latency.items()]
    if figures.sent_late:
        late = figures.sent_late
        told.append(("sent late by", f"{milliseconds(late['p50'])} (p50), {milliseconds(late['p99'])} (p99)"))
    told.append(("this client", f"{figures.client_cpu:.0%} of one core"))
    server = figures.server
    if server is not None:
        told.append(("server: requests", f"{server.requests:,}"))
        told.append(("server: executions", f"{server.executions:,}"))
        told.append(("server: rows in one", _number(server.rows_per_execution)))
        told.append(("server: waited", _time(server.queue_seconds)))
        told.append(("server: computed", _time(server.compute_seconds)))
        told.append(("server: refused", f"{server.rejected:,}"))
    return told


def milliseconds(seconds: float) -> str:
    """Format a time with three digits that mean something."""
    value = seconds * 1000
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g} (mean)"


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else f"{milliseconds(seconds)} (mean)"
