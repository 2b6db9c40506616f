"""A window's features, of whichever kind was asked for."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from genrestack_audio.errors import AudioError
from genrestack_audio.features.columns import FEATURE_NAMES
from genrestack_audio.tagger.recipe import SHORTEST, TAG_NAMES
from genrestack_audio.windows.windows import Windows
from genrestack_common.extractors import BOTH, SPECTRAL, TAGS, Extractor

COLUMNS = {SPECTRAL: FEATURE_NAMES, TAGS: TAG_NAMES, BOTH: (*FEATURE_NAMES, *TAG_NAMES)}
"""Kind → names of the features, in order."""


@dataclass(frozen=True)
class WindowFeatures:
    """What turns a window into features; it can be sent to another process."""

    extractor: Extractor = field(default_factory=Extractor)
    tagger: Path | None = None
    """The tagger's file, for the kinds that have one."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return COLUMNS[self.extractor.kind]

    def check(self, windows: Windows | None) -> None:
        """Reject windows in which the tagger hears nothing.

        Raises:
            AudioError: they are too short for it.

        """
        if self.tagger is not None and windows is not None and windows.seconds < SHORTEST:
            raise AudioError(
                f"a window of {windows.seconds:g} s is too short for tags: the tagger hears {SHORTEST:.2f} s at once; "
                "choose 3 s or more"
            )

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Compute the features of a piece of sound.

        Args:
            samples: float32, shape (n,), finite; mono at 22,050 Hz; n ≥ 2048.

        Returns:
            float64, shape (f,); in the order of `names`.

        Raises:
            AudioError: the tagger hears nothing as short as that, or its file is not what it was.

        """
        parts = []
        if self.extractor.kind in {SPECTRAL, BOTH}:
            from genrestack_audio.features.extract import features_of

            parts.append(features_of(samples))
        if self.tagger is not None:
            from genrestack_audio.tagger.tagger import open_tagger

            parts.append(open_tagger(self.tagger, self.extractor.sha256).tags(samples))
        return np.concatenate(parts)


SPECTRAL_FEATURES = WindowFeatures()
"""The 57 numbers."""


def window_features(kind: str, tagger: Path | None = None) -> WindowFeatures:
    """Return what computes features of a kind, with the tagger that this machine has.

    Args:
        kind: one of `genrestack_common.extractors.KINDS`.
        tagger: the tagger's file; None: where the conversion put it.

    Raises:
        AudioError: there is no tagger, it cannot be run, or none is needed; the message says what to do.

    """
    if kind == SPECTRAL:
        return SPECTRAL_FEATURES
    from genrestack_audio.tagger.tagger import find_tagger

    path, sha256 = find_tagger(tagger)
    return WindowFeatures(Extractor(kind, sha256), path)


def features_of_columns(names: Collection[str], sha256: str = "") -> WindowFeatures:
    """Return what computes these features, and as few others as can be, with the tagger that this machine has.

    Args:
        names: of features that are computed from recordings.
        sha256: hex digest of the tagger that has to compute them; empty: any.

    Raises:
        AudioError: as `window_features`, or the tagger is another.

    """
    wanted = set(names)
    if wanted.isdisjoint(TAG_NAMES):
        return SPECTRAL_FEATURES
    found = window_features(TAGS if wanted.isdisjoint(FEATURE_NAMES) else BOTH)
    if sha256 and found.extractor.sha256 != sha256:
        raise AudioError(
            f"{found.tagger}: has the sha256 {found.extractor.sha256[:12]}…, where {sha256[:12]}… is needed; name that "
            "file in GENRESTACK_TAGGER, or train on tags of this one"
        )
    return found
