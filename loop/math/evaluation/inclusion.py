"""How much a held-out frame counts in an estimate over all frames that it was drawn from."""

from __future__ import annotations

import numpy as np

from loop.base.arrays import Ints, Reals


def inclusion_probability(chances: Reals) -> Reals:
    """(F,) the probability of each frame to be drawn at all: 1 - prod(1 - p) over the batches.

    chances: (B, F) its probability in each batch, 0 where the batch could not draw it.
    """
    probability: Reals = 1 - np.prod(1 - chances, axis=0)
    return probability


def inclusion_weights(chances: Reals, batch: Ints, own: Reals) -> Reals:
    """(F,) by which drawn frames count, so that sums over them are unbiased totals.

    chances: (B, F) the mean probability of the stratum of each frame, by batch, oldest first.
    batch: (F,) the batch that drew it, a row of `chances`.
    own: (F,) its own probability there, which may differ from the mean where what judges already
    has a say in it.
    A batch tells a total: what the batches before it drew, and what it drew over its probability
    (Des Raj 1956). Averaged with shares that grow with the chances, these give every frame 1 over
    its inclusion probability, as several samples are balanced in Monte Carlo integration (Veach and
    Guibas 1995). Where `own` differs from the mean, the frame counts accordingly more or less.
    """
    frames = np.arange(chances.shape[1])
    later = np.arange(len(chances))[:, None] > batch
    spared = np.prod(np.where(later, 1 - chances, 1.0), axis=0)
    weights: Reals = (1 + spared * (chances[batch, frames] / own - 1)) / inclusion_probability(chances)
    return weights
