"""The recipe written down as plain librosa calls: slow, and what `extract` is compared with in tests and benchmarks.

The published tables were made with librosa 0.9 or older. Two of its behaviours have to be asked for today: every
spectrogram reflects the signal at its ends instead of padding it with zeros, and the harmonic and percussive signals
end with the last whole frame, zeros after it.
"""

import librosa
import numpy as np
from librosa.beat import beat_track
from librosa.decompose import hpss
from librosa.onset import onset_strength

from genrestack_audio.features.columns import HOP, MFCCS, N_FFT, RATE


def extract_with_librosa(samples: np.ndarray) -> np.ndarray:
    """Compute the 57 features, each from a librosa call of its own.

    Args:
        samples: float32, shape (n,); mono at 22,050 Hz.

    Returns:
        float64, shape (57,); in the order of `FEATURE_NAMES`.

    """
    harmonic, percussive = _hpss(samples)
    curves = [
        librosa.feature.chroma_stft(y=samples, sr=RATE, pad_mode="reflect"),
        librosa.feature.rms(y=samples, pad_mode="reflect"),
        librosa.feature.spectral_centroid(y=samples, sr=RATE, pad_mode="reflect"),
        librosa.feature.spectral_bandwidth(y=samples, sr=RATE, pad_mode="reflect"),
        librosa.feature.spectral_rolloff(y=samples, sr=RATE, pad_mode="reflect"),
        librosa.feature.zero_crossing_rate(samples),
        harmonic,
        percussive,
    ]
    mfcc = librosa.feature.mfcc(y=samples, sr=RATE, n_mfcc=MFCCS, pad_mode="reflect")
    values = [moment for curve in curves for moment in (np.mean(curve), np.var(curve))]
    values.append(_tempo(samples))
    values.extend(moment for curve in mfcc for moment in (np.mean(curve), np.var(curve)))
    return np.array(values, dtype=np.float64)


def _hpss(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spectrum = librosa.stft(samples, n_fft=N_FFT, hop_length=HOP, pad_mode="reflect")
    harmonic, percussive = hpss(spectrum)
    return (
        librosa.util.fix_length(librosa.istft(harmonic), size=len(samples)),
        librosa.util.fix_length(librosa.istft(percussive), size=len(samples)),
    )


def _tempo(samples: np.ndarray) -> float:
    onsets = onset_strength(y=samples, sr=RATE, aggregate=np.median, pad_mode="reflect")
    tempo, _ = beat_track(onset_envelope=onsets, sr=RATE)
    return float(np.squeeze(tempo))
