"""Blocks that compression left, whatever size a later resize gave them.

The edges of blocks are a comb in the second differences along rows and columns: peaks of their
spectrum at a base frequency and its multiples (after Fan and de Queiroz 2003, who look at blocks of
8 pixels alone).
"""

from __future__ import annotations

import numpy as np

from loop.base.arrays import Bytes, Ints, Reals

STEEPEST = 24
"""Gray levels: the edges of things, which are steeper, count as so much."""
LENGTH = 4096
"""Of the transform; what reaches further is left out."""
SHORTEST = 64
"""Rows of fewer pixels show no comb."""
SMOOTH = 17
"""Pixels: what varies more slowly is the scene."""
AROUND, APART = 321, 64
"""Frequencies of which a median is taken, and how far apart the medians lie."""
SIZES = np.geomspace(3.97, 16.3, 200)
"""Of blocks, in pixels."""
PEAKS = 4
HIGHEST = 0.35
"""Cycles a pixel: resizing weakens the peaks beyond."""
RESAMPLED = ((1 / 3, 0.012), (1 / 5, 0.006))
"""Frequencies and how far around them resizing alone, by 3/4 or 3/2 and by 5/4, leaves peaks."""
FLAT = 0.1
"""Gray levels: less is no texture."""


def compression(rows: Bytes, columns: Bytes) -> float:
    """Of the clearest comb the weakest of the first peaks, above the spectrum around it and over the
    mean second difference; 0 where there is none.

    rows: (n, W) luma of some rows.
    columns: (m, H) likewise of columns.

    Lines shorter than 64 pixels count for nothing.
    """
    spectra = [_spectrum(lines) for lines in (rows, columns) if lines.shape[1] >= SHORTEST and len(lines)]
    if not spectra:
        return 0.0
    together = np.sqrt(spectra[0] * spectra[-1])
    together = np.maximum(together - _usual(together), 0)
    peaks = np.maximum(together[_PLACES], np.maximum(together[_PLACES - 1], together[_PLACES + 1]))
    return float(peaks.min(axis=1).max())


def _spectrum(lines: Bytes) -> Reals:
    """(LENGTH / 2 + 1,) amplitudes of the second difference along the lines, over its mean."""
    values = lines[:, :LENGTH].astype(np.int16)
    second = np.abs(values[:, 2:] + values[:, :-2] - 2 * values[:, 1:-1])
    profile = np.minimum(second, STEEPEST, out=second).mean(axis=0)
    scene = np.convolve(np.pad(profile, SMOOTH // 2, mode="reflect"), np.full(SMOOTH, 1 / SMOOTH), "valid")
    window = np.hanning(len(profile))
    amplitude = np.abs(np.fft.rfft((profile - scene) * window, LENGTH)) * 2 / window.sum()
    over: Reals = amplitude / max(float(profile.mean()), FLAT)
    return over


def _usual(amplitude: Reals) -> Reals:
    """Medians of the amplitudes around each."""
    padded = np.pad(amplitude, AROUND // 2, mode="reflect")
    medians = np.median(np.lib.stride_tricks.sliding_window_view(padded, AROUND)[::APART], axis=1)
    between: Reals = np.interp(np.arange(len(amplitude)), APART * np.arange(len(medians)), medians)
    return between


def _combs() -> Ints:
    """(sizes, PEAKS) places in the spectrum of the first peaks of each size, the last one repeated."""
    combs = []
    for size in SIZES:
        frequencies = np.arange(1, int(HIGHEST * size) + 1) / size
        for artifact, around in RESAMPLED:
            frequencies = frequencies[np.abs(frequencies - artifact) > around]
        if len(frequencies):
            own = frequencies[np.minimum(np.arange(PEAKS), len(frequencies) - 1)]
            combs.append(np.rint(own * LENGTH).astype(np.int64))
    return np.array(combs)


_PLACES = _combs()
