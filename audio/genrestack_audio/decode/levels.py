"""How loud a recording is: whether it is sound at all, and whether it is clipped."""

import numpy as np

from genrestack_audio.errors import AudioError

_SILENT = 2.0**-15
"""Peak of a recording in which no 16-bit sample is ever heard."""
_FULL = 1 - 2.0**-15
_BEYOND_REASON = 64.0
_CLIPPED_SHARE = 0.005


class Levels:
    """Watches the samples of a recording go by."""

    def __init__(self) -> None:
        self._peak = 0.0
        self._full = 0
        self._seen = 0

    def watch(self, block: np.ndarray) -> None:
        """Count a block of samples, floating, any shape.

        Raises:
            AudioError: it holds something that is not sound.

        """
        if not block.size:
            return
        sizes = np.abs(block)
        peak = float(sizes.max())
        if not np.isfinite(peak):
            raise AudioError("has samples that are not numbers (NaN or infinite); export the recording again")
        if peak > _BEYOND_REASON:
            raise AudioError(f"has samples as large as {peak:g}; floating-point audio lies within −1 and 1: scale it")
        self._peak = max(self._peak, peak)
        self._full += int(np.count_nonzero(sizes >= _FULL))
        self._seen += block.size

    def check(self) -> None:
        """Reject what was silent from beginning to end.

        Raises:
            AudioError: nothing in it can be heard.

        """
        if self._peak < _SILENT:
            raise AudioError("is silent from beginning to end; there is nothing to compute features of")

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of it, one line each."""
        if self._full < _CLIPPED_SHARE * max(self._seen, 1):
            return ()
        share = self._full / self._seen
        return (f"clipped: {share:.1%} of its samples are at full scale, which changes timbre; use a cleaner copy",)
