"""Gaps: what is common in production and rare or absent in the training set, worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loop.base.arrays import Bools, Ints, Reals
from loop.math.coverage.facets import UNKNOWN, Facet, Kind, slice_key
from loop.math.statistics.bootstrap import Resampling, resampling

LIFT = 1.5
"""A condition that production shows less than so many times as often as the training set is no gap."""
FAR_MORE = 5
"""So many times as often as the training set production must show what is usual there, for that to
be a gap.
"""
SEES_WELL = 0.25
"""Weight of a deficit in which the detector is as confident as elsewhere."""
SUSPECTED = 0.02
"""Share of production that a class with hardly any training box is taken to have at least: its
detector suspects only what resembles those few boxes.
"""
SUSPECT = 0.1
"""Score from which on a class is suspected, unless it is so rare that nothing reaches it."""
MIN_SUSPECTS = 5
"""So few suspected frames, or fewer groups than two, are no sign of a class."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A part of production that may be a gap.

    inside, known: (N,) bool.
    strength: (N,), examples are ordered by it.
    training_share: of those frames of the training set that are known, 0..1; training_known: their
    share of it.
    lacking: 0..1, the part of the need that is unmet; None where the shares tell it.
    assumed_share: of production at least, whatever was found.
    confidence: (N,) within the part, where it is not the frames' own.
    evidence: what stands in the line instead of the two shares.
    label: what the line calls it.
    key: of its slice.
    """

    name: str
    kind: Kind
    inside: Bools
    known: Bools
    strength: Reals
    training_share: float
    lacking: float | None = None
    assumed_share: float = 0.0
    confidence: Reals | None = None
    evidence: str = ""
    label: str = ""
    training_known: float = 1.0
    key: str = ""


@dataclass(frozen=True, eq=False)
class Gap:
    """interval: 95 % bootstrap interval of the production share over groups; (0, 1) where there is
    only one group.

    deficit: share of production that the training set does not cover.
    confidence_*: mean detector confidence of a frame.
    frames: (K,) int64 production rows, the clearest example of every group first.
    groups: how many groups show it.
    also: other names for much the same frames.
    why: one line a person understands.
    unexplained: part of the frames that no narrower named gap holds, 1 for what is not measured.
    score: of that part, for ranking.
    training_share: of those training frames of which it is known; training_known: their share of
    all.
    key: of its slice, which stays whatever it is called.
    """

    name: str
    kind: Kind
    production_share: float
    training_share: float
    interval: tuple[float, float]
    deficit: float
    confidence_inside: float
    confidence_elsewhere: float
    frames: Ints
    groups: int
    why: str
    score: float
    also: tuple[str, ...] = ()
    unexplained: float = 1.0
    training_known: float = 1.0
    key: str = ""

    def labeled(self, training: int) -> float:
        """How many of so many training frames are known to show it."""
        return self.training_share * self.training_known * training


def rank_gaps(
    candidates: Sequence[Candidate],
    group: Ints,
    confidence: Reals,
    *,
    min_share: float,
    max_share: float,
    seed: int = 0,
) -> list[Gap]:
    """The candidates that are gaps, worst first.

    group: (N,) int, the camera-day or sequence of each production frame: the unit that is
    resampled, because frames of one are no independent evidence.
    confidence: (N,) detector confidence of each frame.
    A gap has a deficit and a production share of min_share or more; a class needs a few suspected
    frames instead. What makes up more than max_share of production is usual, and a gap only where
    training shows far less of it. Its score is the deficit times how much less confident the
    detector is there, halved where the interval reaches down to the training share, and times the
    part of the training set of which it is known: of an imported set that does not say its cameras,
    the few frames labeled since do not speak for all.
    """
    draws, total = resampling(group, seed), float(confidence.sum())
    shown = [one for one in candidates if one.inside.any()]
    rows = [np.flatnonzero(one.inside & one.known) for one in shown]
    measured = [
        (one, _gap(one, own, confidence, total, draws, (float(low), float(high))))
        for one, own, (low, high) in zip(shown, rows, _intervals(shown, rows, draws), strict=True)
    ]
    gaps = [
        replace(gap, frames=spread_examples(gap.frames, one.strength, draws.code))
        for one, gap in measured
        if gap.deficit > 0 and _shown(gap, min_share, max_share)
    ]
    return sorted(gaps, key=lambda gap: (-gap.score, gap.name))


def candidates_of(facet: Facet) -> list[Candidate]:
    """One candidate per option; none where nothing is known of the training set."""
    production_known, training_known = facet.production != UNKNOWN, facet.training != UNKNOWN
    if not training_known.any():
        return []
    found = []
    for index, option in enumerate(facet.options):
        share = float((facet.training[training_known] == index).mean())
        inside = facet.production == index
        label = f"{facet.name} {option}" if facet.kind == "metadata" else option
        found.append(
            Candidate(
                name=f"{facet.name}: {option}",
                kind=facet.kind,
                inside=inside,
                known=production_known,
                strength=facet.strength,
                training_share=share,
                label=label,
                training_known=float(training_known.mean()),
                key=facet.keys[index],
            )
        )
    return found


def class_candidates(
    classes: Sequence[str],
    boxes: Ints,
    frames_with: Ints,
    training_frames: int,
    scores: Reals,
    *,
    needed: int = 100,
    suspect: float = SUSPECT,
) -> list[Candidate]:
    """Classes with fewer than `needed` training boxes that the detector suspects in production.

    boxes, frames_with: (C,) training boxes, and frames that hold one.
    scores: (N, C) highest score of each class in a production frame.
    """
    found = []
    for index in np.flatnonzero(boxes < needed):
        score = scores[:, index]
        inside = suspected(score, suspect)
        evidence = (
            f"suspected in {_percent(float(inside.mean()))} of production, {_boxes(int(boxes[index]))} in"
            " training"
        )
        found.append(
            Candidate(
                name=f"class: {classes[index]}",
                kind="class",
                inside=inside,
                known=np.ones(len(score), dtype=bool),
                strength=score,
                training_share=float(frames_with[index] / max(training_frames, 1)),
                lacking=1 - float(boxes[index]) / needed,
                assumed_share=SUSPECTED,
                confidence=score,
                evidence=evidence,
                label=classes[index],
                key=slice_key("class", classes[index]),
            )
        )
    return found


def suspected(score: Reals, suspect: float = SUSPECT) -> Bools:
    """(N,) bool: frames in which the detector suspects a class.

    score: (N,) its highest score of it in each.
    """
    return score > suspicion_limit(score, suspect)


def suspicion_limit(score: Reals, suspect: float) -> float:
    """`suspect`, or less for a class so rare in training that nothing reaches it:
    then the 99th percentile, if that stands out.
    """
    if not len(score) or (score > suspect).mean() >= 0.005:
        return suspect
    high = float(np.quantile(score, 0.99))
    return min(suspect, high) if high > 5 * max(float(np.median(score)), 1e-3) else suspect


def spread_examples(rows: Ints, strength: Reals, group: Ints) -> Ints:
    """rows, the strongest of every group first, then every group's second, ...; groups by their
    strongest.
    """
    _, code = np.unique(group[rows], return_inverse=True)
    best = np.full(int(code.max(initial=0)) + 1, -np.inf)
    np.maximum.at(best, code, strength[rows])
    by_group = np.lexsort((-strength[rows], code))
    starts = np.flatnonzero(np.diff(code[by_group], prepend=-1))
    lengths = np.diff(starts, append=len(rows))
    place = np.empty(len(rows), dtype=np.int64)
    place[by_group] = np.arange(len(rows)) - np.repeat(starts, lengths)
    ordered: Ints = rows[np.lexsort((rows, -best[code], place))]
    return ordered


def _intervals(candidates: Sequence[Candidate], rows: Sequence[Ints], draws: Resampling) -> Reals:
    """(S, 2) of the production shares. rows: that are inside each."""
    if not candidates:
        return np.zeros((0, 2))
    known = {id(each): each for each in (one.known for one in candidates)}
    totals = {number: draws.counts(each) for number, each in known.items()}
    hits = np.stack([draws.counts(own) for own in rows])
    return draws.intervals(hits, np.stack([totals[id(one.known)] for one in candidates]))


def _gap(
    candidate: Candidate,
    rows: Ints,
    confidence: Reals,
    total: float,
    draws: Resampling,
    interval: tuple[float, float],
) -> Gap:
    """With its frames in no order yet.

    rows: that are inside.
    total: of all confidence.
    """
    share = len(rows) / max(np.count_nonzero(candidate.known), 1)
    deficit = _deficit(candidate, share)
    own = candidate.confidence if candidate.confidence is not None else confidence
    here = float(own[rows].mean()) if len(rows) else 0.0
    others = len(confidence) - len(rows)
    elsewhere = (total - float(confidence[rows].sum())) / others if others else here
    drop = float(np.clip((elsewhere - here) / elsewhere, 0, 1)) if elsewhere > 0 else 0.0
    certainty = 1.0 if interval[0] > candidate.training_share else 0.5
    return Gap(
        name=candidate.name,
        kind=candidate.kind,
        production_share=share,
        training_share=candidate.training_share,
        interval=interval,
        deficit=deficit,
        confidence_inside=here,
        confidence_elsewhere=elsewhere,
        frames=rows,
        groups=int(np.count_nonzero(np.bincount(draws.code[rows]))),
        why=_why(candidate, share, here, elsewhere),
        score=deficit * (SEES_WELL + drop) * certainty * candidate.training_known,
        training_known=candidate.training_known,
        key=candidate.key,
    )


def _shown(gap: Gap, min_share: float, max_share: float) -> bool:
    if gap.production_share > max_share and gap.production_share < FAR_MORE * gap.training_share:
        return False
    if gap.kind == "class":
        return len(gap.frames) >= MIN_SUSPECTS and gap.groups > 1
    return gap.production_share >= min_share


def _deficit(candidate: Candidate, share: float) -> float:
    if candidate.lacking is not None:
        return max(share, candidate.assumed_share) * candidate.lacking
    return share - candidate.training_share if share > LIFT * candidate.training_share else 0.0


def _why(candidate: Candidate, share: float, here: float, elsewhere: float) -> str:
    known = candidate.training_known
    so_far = f" as far as known ({_percent(known)} of it)" if known < 1 else ""
    shares = f"{_percent(share)} of production, {_percent(candidate.training_share)} of training{so_far}"
    subject = "its confidence" if candidate.kind == "class" else "detector mean confidence"
    confidence = f"{subject} {_two(here)} against {_two(elsewhere)}"
    return f"{candidate.label or candidate.name}: {candidate.evidence or shares}; {confidence}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _two(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")


def _boxes(count: int) -> str:
    return "1 box" if count == 1 else f"{count} boxes"
