"""From gaps to what a sampler works with: one stratum per frame, its deficit,
and the line that a labeler reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loop.base.arrays import Ints, Reals
from loop.math.coverage.gaps import Gap

NO_STRATUM = -1
BY_ARM = {
    "prob_cover": "stands for the most of the frames that resemble nothing labeled or chosen so far",
    "herding": "stands for the most of what is unlike all that is labeled or chosen so far",
    "uncertainty": "doubtful: the model is unsure of its boxes here, and more so, per second of labeling, than in what could still be chosen",
    "ppal": "doubtful, and unlike the other doubtful frames of the batch",
    "typical": "typical of a kind of frame of which few are labeled",
    "class_balanced": "shows classes that the rest of the batch shows little of",
    "left_over": "drawn at random: none of the frames that were compared with one another could be chosen",
    "stream": "new when it came in: unlike what was labeled and chosen before it",
}
"""What a labeler reads of a frame that one of these arms chose."""
NOTHING_LIKE_IT = "nothing that resembles what was asked for is left"


@dataclass(frozen=True, eq=False)
class Strata:
    """code: (N,) int64 row of the others, or -1. deficit: (S,) float64. names, keys, reasons: (S,).

    sure: (N,) float64 in 0..1, how far a frame can be told to belong to its stratum.
    """

    code: Ints
    deficit: Reals
    sure: Reals
    names: tuple[str, ...]
    keys: tuple[str, ...]
    reasons: tuple[str, ...]


def strata_of(gaps: Sequence[Gap], size: int) -> Strata:
    """A frame in several gaps belongs to the rarest of them, so that a broad gap does not swallow a narrow
    one.

    A stratum's deficit is its gap's score, shrunk by the share of its frames that went elsewhere: what production
    lacks counts by how much worse the detector sees there. A detector only suspects the frames of a class, the
    surest first. size: N production frames.
    """
    code, sure = np.full(size, NO_STRATUM, dtype=np.int64), np.ones(size)
    broad_first = sorted(range(len(gaps)), key=lambda i: (-gaps[i].production_share, gaps[i].score))
    for index in broad_first:
        frames = gaps[index].frames
        code[frames] = index
        sure[frames] = np.linspace(1, 0, len(frames), endpoint=False) if gaps[index].kind == "class" else 1.0
    kept = np.bincount(code[code >= 0], minlength=len(gaps))
    own = [kept[i] / max(gap.unexplained * len(gap.frames), 1) for i, gap in enumerate(gaps)]
    deficit = [gap.score * min(share, 1.0) for gap, share in zip(gaps, own, strict=True)]
    return Strata(
        code,
        np.array(deficit, dtype=np.float64),
        sure,
        tuple(gap.name for gap in gaps),
        tuple(gap.key for gap in gaps),
        tuple(gap.why for gap in gaps),
    )


def reason_lines(
    rows: Ints,
    arm: Sequence[str],
    strata: Strata,
    novelty: Reals,
    doubt: Reals,
    told: Mapping[str, Reals] | None = None,
) -> list[str]:
    """One line per chosen frame. rows: (k,). arm: (k,) the part of the strategy that chose it.

    novelty: (N,) ratio. doubt: (N,). told: what the strategy says of each, (k,), such as `similarity`.
    """
    surer, values = _share_below(doubt), told or {}
    return [
        _reason(
            str(part),
            strata,
            int(strata.code[row]),
            float(novelty[row]),
            float(surer[row]),
            {name: float(each[place]) for name, each in values.items()},
        )
        for place, (row, part) in enumerate(zip(rows, arm, strict=True))
    ]


def _reason(
    arm: str, strata: Strata, stratum: int, novelty: float, surer: float, told: Mapping[str, float]
) -> str:
    if arm == "coverage" and stratum != NO_STRATUM:
        return strata.reasons[stratum]
    if arm in ("discovery", "k_center", "second_look"):
        new = "new" if novelty > 1 else "the newest that was left"
        return f"{new}: {novelty:.1f} times as far from the training set as is usual around there"
    if arm == "herding":
        return f"{BY_ARM[arm]}; the model is surer of {int(100 * surer)}% of the frames"
    if arm == "targeted":
        similar = told.get("similarity", 0.0)
        return f"resembles what was asked for (similarity {similar:.2f})" if similar > 0 else NOTHING_LIKE_IT
    if arm == "uncertainty" and told.get("uncertainty") == 0:
        return "no box was found in it, and none that is doubtful is left"
    return BY_ARM.get(arm, "drawn at random, so that what nobody suspects has its chance")


def _share_below(value: Reals) -> Reals:
    share: Reals = np.searchsorted(np.sort(value), value, side="left") / max(len(value), 1)
    return share
