"""How loud a recording is: whether it is sound at all, and whether it is clipped."""

import numpy as np

from genrestack_audio.errors import AudioError

_SILENT = 2.0**-15
"""Peak of a recording in which no 16-bit sample is ever heard."""
_FULL = 1 - 2.0**-15
_BEYOND_REASON = 64.0
_CLIPPED_SHARE = 0.005
_CANCELLED_SHARE = 1e-3
"""Share of the channels' energy below which a mix has lost them; that of a single channel among eight is 0.125."""


class Levels:
    """Watches the samples of a recording go by."""

    def __init__(self) -> None:
        self._mixes = False
        self._peak = self._mixed_peak = 0.0
        self._energy = self._mixed_energy = 0.0
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

    def watch_mix(self, block: np.ndarray, mixed: np.ndarray) -> None:
        """Compare a block with the mono mix of its channels: shapes (n, channels) and (n,)."""
        if block.ndim == 1 or block.shape[1] == 1 or not mixed.size:
            return
        self._mixes = True
        self._mixed_peak = max(self._mixed_peak, float(np.abs(mixed).max()))
        self._energy += float(np.mean(np.square(block, dtype=np.float64), axis=1).sum())
        self._mixed_energy += float(np.square(mixed, dtype=np.float64).sum())

    def check(self) -> None:
        """Reject what was silent from beginning to end.

        Raises:
            AudioError: nothing in it, or in its mono mix, can be heard.

        """
        if not self._seen:
            raise AudioError("holds no samples: it ends where its sound should begin; copy or record it again")
        if self._peak < _SILENT:
            raise AudioError("is silent from beginning to end; there is nothing to compute features of")
        if self._mixes and self._mixed_peak < _SILENT:
            raise AudioError(
                "has channels that cancel each other out (left is the inverse of right), so its mono mix is silent; "
                "invert one channel, or save one of them as mono"
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of it, one line each."""
        notes = []
        if self._full >= _CLIPPED_SHARE * max(self._seen, 1):
            share = self._full / self._seen
            notes.append(
                f"clipped: {share:.1%} of its samples are at full scale, which changes timbre; use a cleaner copy"
            )
        if self._mixes and self._mixed_energy < _CANCELLED_SHARE * self._energy:
            notes.append(
                "its channels nearly cancel each other out (one is almost the inverse of another), and little of them "
                "is left in the mono mix; invert one channel, or save one of them as mono"
            )
        return tuple(notes)
