"""Every call of a load: when it should have begun, when it did, when it ended, and how."""

from array import array
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

OK = "OK"


class Record:
    """Takes down calls while they are made; times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._intended = array("d")
        self._sent = array("d")
        self._ended = array("d")
        self._codes = array("B")
        self._names: dict[str, int] = {OK: 0}

    def __len__(self) -> int:
        return len(self._codes)

    def add(self, intended: float, sent: float, ended: float, code: str) -> None:
        """Record one call."""
        self._intended.append(intended)
        self._sent.append(sent)
        self._ended.append(ended)
        self._codes.append(self._names.setdefault(code, len(self._names)))

    def between(self, begin: float, end: float) -> "CallRecords":
        """Return the calls that were meant to begin in [begin, end)."""
        intended = np.array(self._intended)
        chosen = (intended >= begin) & (intended < end)
        codes = np.array(self._codes)[chosen]
        names = {number: name for name, number in self._names.items()}
        good = codes == 0
        sent, ended = np.array(self._sent)[chosen], np.array(self._ended)[chosen]
        return CallRecords(intended[chosen], sent, ended, good, Counter(names[int(code)] for code in codes[~good]))


class CallRecords:
    """Calls that count, in the order they ended.

    Args:
        intended: when each should have begun, s; shape (n,).
        sent: when it did, s; shape (n,).
        ended: when it was over, s; shape (n,).
        good: whether it was answered; shape (n,).
        failures: how many ended in each status other than OK.

    """

    def __init__(
        self,
        intended: npt.NDArray[np.float64],
        sent: npt.NDArray[np.float64],
        ended: npt.NDArray[np.float64],
        good: npt.NDArray[np.bool_],
        failures: Counter[str],
    ) -> None:
        self.intended = intended
        self.ended = ended
        self.good = good
        self.failures = failures
        self.late = sent - intended

    @property
    def latencies(self) -> npt.NDArray[np.float64]:
        """Seconds from when each answered call should have begun to its answer; shape (answered,)."""
        return (self.ended - self.intended)[self.good]


def quantiles(values: npt.NDArray[Any], shares: tuple[float, ...]) -> list[float]:
    """Return values that were measured, not means of two: the least one that `share` of all do not exceed."""
    return [float(value) for value in np.quantile(values, shares, method="inverted_cdf")] if len(values) else []
