"""Which of the regions found now were known before: a region lasts, however others grow past it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

SAME_REGION = 0.6
"""Cosine of two centers from which on they are one region. Of regions of planted kinds, found in
half of the frames and in all, or before and after some were labeled, the centers of one kind agree
to .77 or more, those of two kinds to .34 or less.
"""


@dataclass(frozen=True, eq=False)
class KnownRegion:
    """A region found before.

    center: (D,) unit norm, in the space of what sets frames apart from training.
    """

    key: str
    center: NDArray[np.float32]


def keys_of_regions(centers: Sequence[NDArray[np.floating]], known: Sequence[KnownRegion]) -> list[str]:
    """A key for each region: that of the known region it is, or a new one made of its center.

    Each known region is at most one of them; the pairs are those that agree best in sum (Kuhn
    1955).
    """
    keys = [_new_key(center) for center in centers]
    usable = [one for one in known if centers and len(one.center) == len(centers[0])]
    if not usable:
        return keys
    likeness = np.array([[float(center @ one.center) for one in usable] for center in centers])
    found, same = linear_sum_assignment(np.where(likeness >= SAME_REGION, likeness, 0.0), maximize=True)
    for place, before in zip(found, same, strict=True):
        if likeness[place, before] >= SAME_REGION:
            keys[place] = usable[before].key
    return keys


def _new_key(center: NDArray[np.floating]) -> str:
    digest = hashlib.blake2b(np.ascontiguousarray(center, dtype="<f2").tobytes(), digest_size=5).hexdigest()
    return f"region/{digest}"
