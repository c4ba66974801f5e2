"""Gaps: what is common in production and rare or absent in the training set, worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loop.base.arrays import Bools, Ints, Reals
from loop.base.wording import counted
from loop.math.coverage.facets import UNKNOWN, Facet, Kind, slice_key
from loop.math.statistics.multiple_testing import benjamini_hochberg
from loop.math.statistics.shares import Counted, blocks, interval, least_p, p_more

LIFT = 1.5
"""A condition that production shows less than so many times as often as the training set is no gap."""
FAR_MORE = 5
"""So many times as often as the training set production must show what is usual there, for that to
be a gap.
"""
FALSE_GAPS = 0.05
"""Of the gaps that are said to be shown, so many are wrong in expectation."""
LIKELY = 0.1
"""A gap is suspected where chance alone would do as much in less than so many cases, or where too few
camera-days are known to say and production shows it more than twice as often.
"""
TWICE = 2
LACKING = 0.005
"""Share of the training set below which it lacks a condition; of one camera-day alone, nothing else
is suspected.
"""
SEES_WELL = 0.1
"""A gap weighs at least so much of the loss elsewhere, however well the detector believes to see there."""
SUSPECTED = 0.02
"""Share of production that a class with hardly any training box is taken to have at least: its
detector suspects only what resembles those few boxes.
"""
SUSPECT = 0.1
"""Score from which on a class is suspected, unless it is so rare that nothing reaches it."""
MIN_SUSPECTS = 5
"""So few suspected frames, or fewer groups than two, are no sign of a class."""
ENOUGH = 30
"""Labeled frames of a condition that a detector learns it from, roughly; more where production
shows it more.
"""
NEARLY_ALL = 0.98
"""Of a side, from which share on it goes unsaid that something is known of so much."""
MOSTLY_TOLD = 0.5
CONFIRMED = 2
"""Groups of production in which people found a class, from which on it is there."""


@dataclass(frozen=True, eq=False)
class Reference:
    """M frames that production is compared with.

    inside, known: (M,) bool, which show a condition, and of which it is known.
    group: (M,) int, as that of production.
    """

    inside: Bools
    known: Bools
    group: Ints

    @property
    def share(self) -> float:
        """Of the frames of which it is known, 0 without any."""
        known = np.count_nonzero(self.known)
        return float(np.count_nonzero(self.inside & self.known) / max(known, 1))


@dataclass(frozen=True, eq=False)
class Candidate:
    """A part of production that may be a gap.

    inside, known: (N,) bool.
    strength: (N,), examples are ordered by it.
    training_share: of those frames of the training set that are known, 0..1; training_known: their
    share of it.
    reference: what the share of production is tested against; of a class, labeled frames without
    it, for the false alarms.
    lacking: 0..1, the part of the need that is unmet; None where the shares tell it.
    assumed_share: of production at least, whatever was found.
    evidence: what stands in the line instead of the two shares.
    label: what the line calls it.
    confirmed: of a class, whether people found it in production.
    unit: (N,) int, what is exchanged in place of camera-days: of what is told by a limit of each
    camera, cameras, because all days of one share its limit.
    key: of its slice.
    """

    name: str
    kind: Kind
    inside: Bools
    known: Bools
    strength: Reals
    training_share: float
    reference: Reference | None = None
    lacking: float | None = None
    assumed_share: float = 0.0
    evidence: str = ""
    label: str = ""
    confirmed: bool = False
    unit: Ints | None = None
    training_known: float = 1.0
    key: str = ""


@dataclass(frozen=True, eq=False)
class Gap:
    """shown: whether chance does not explain it, with false discoveries held to 5 % over all that was
    compared; a gap that is not is suspected.

    interval: 95 % of the production share, over groups; None where too few are known to tell it.
    deficit: share of production that the training set does not cover.
    loss_*: mean expected loss of a frame, 0..1.
    frames: (K,) int64 production rows, the clearest example of every group first.
    groups: how many groups show it.
    also: other names for much the same frames.
    why: one line a person understands.
    unexplained: part of the frames that no narrower named gap holds, 1 for what is not measured.
    score: of that part, for ranking: the deficit times the excess of expected loss.
    training_share: of those training frames of which it is known; training_known: their share of
    all.
    key: of its slice, which stays whatever it is called.
    """

    name: str
    kind: Kind
    production_share: float
    training_share: float
    shown: bool
    interval: tuple[float, float] | None
    deficit: float
    loss_inside: float
    loss_elsewhere: float
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
    loss: Reals,
    *,
    min_share: float,
    max_share: float,
    seed: int = 0,
) -> list[Gap]:
    """The candidates that are gaps: those that are shown, worst first, then those that are suspected.

    group: (N,) int, the camera-day or sequence of each production frame: the unit that is
    exchanged, because frames of one are no independent evidence.
    loss: (N,) expected loss of each frame.
    A gap has a deficit and a production share of min_share or more. What makes up more than
    max_share of production is usual, and a gap only where training shows far less of it. It is
    shown where groups exchanged between production and training hardly ever differ as much, over
    all candidates together. A class needs a few suspected frames, more than false alarms explain,
    and is shown once people found it.
    """
    inside = [one for one in candidates if one.inside.any()]
    own = _Groups.of(group)
    rows = [np.flatnonzero(one.inside & one.known) for one in inside]
    p, least = _tested(inside, rows, own, seed)
    asked = np.array([one.kind != "class" and one.reference is not None for one in inside], dtype=bool)
    refuted = np.zeros(len(inside), dtype=bool)
    refuted[asked] = benjamini_hochberg(p[asked]) <= FALSE_GAPS
    total, classes = float(loss.sum()), sum(one.kind == "class" for one in inside)
    gaps = []
    for one, each, chance, at_best, told in zip(inside, rows, p, least, refuted, strict=True):
        shown = one.confirmed if one.kind == "class" else bool(told)
        gap = _gap(one, each, loss, total, own, shown)
        alarms = one.reference.share if one.reference else 0.0
        usual = alarms if one.kind == "class" else gap.training_share
        clear = gap.production_share > TWICE * usual and (len(own.frames) > 1 or usual < LACKING)
        unlikely = chance <= (LIKELY / classes if one.kind == "class" else LIKELY)
        likely = shown or unlikely or (clear and at_best > FALSE_GAPS)
        if likely and gap.deficit > 0 and _common(gap, min_share, max_share):
            gaps.append(replace(gap, frames=spread_examples(each, one.strength, own.code)))
    return sorted(gaps, key=worst_first)


def enough_frames(share: float, known: float) -> float:
    """How many labeled frames should show what production shows in this share, so that the training
    frames of which it is known show it as often, and often enough at all.
    """
    return max(share * known, ENOUGH)


def worst_first(gap: Gap) -> tuple[bool, float, str]:
    """By which gaps are ordered: those that are shown before those that are suspected."""
    return not gap.shown, -gap.score, gap.name


def candidates_of(facet: Facet, group: Ints, imported: Bools) -> list[Candidate]:
    """One candidate per option; none where nothing is known of the training set, or of less than half
    of what was imported: the loop's own batches were chosen for what they show.

    group: (M,) int of the training frames.
    imported: (M,) bool, which of them came with the training set that was imported.
    """
    production_known, training_known = facet.production != UNKNOWN, facet.training != UNKNOWN
    few = imported.any() and training_known[imported].mean() < MOSTLY_TOLD
    if few or not training_known.any():
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
                reference=Reference(facet.training == index, training_known, group),
                label=label,
                training_known=float(training_known.mean()),
                key=facet.keys[index],
            )
        )
    return found


def by_camera(candidate: Candidate, production: Ints, training: Ints) -> Candidate:
    """The same, tested over cameras. production: (N,), training: (M,) int, the camera of each frame."""
    reference = candidate.reference and replace(candidate.reference, group=training)
    return replace(candidate, unit=production, reference=reference)


@dataclass(frozen=True, eq=False)
class LabeledScores:
    """What the detector says of L labeled frames that it has seen.

    scores: (L, C) highest score of each class.
    has: (L, C) bool, which classes people found there.
    group: (L,) int.
    production: (L,) bool, which were not imported.
    """

    scores: Reals
    has: Bools
    group: Ints
    production: Bools

    def confirmed(self, class_id: int) -> bool:
        """Whether people found the class in production, in two groups or more."""
        found = self.has[:, class_id] & self.production
        return len(np.unique(self.group[found])) >= CONFIRMED


def class_candidates(
    classes: Sequence[str],
    boxes: Ints,
    frames_with: Ints,
    training_frames: int,
    scores: Reals,
    labeled: LabeledScores,
    *,
    needed: int = 100,
    suspect: float = SUSPECT,
) -> list[Candidate]:
    """Classes with fewer than `needed` training boxes that the detector suspects in production.

    boxes, frames_with: (C,) training boxes, and frames that hold one.
    scores: (N, C) highest score of each class in a production frame.
    labeled: tells false alarms from a class that is there.
    """
    found = []
    for index in np.flatnonzero(boxes < needed):
        score = scores[:, index]
        limit = suspicion_limit(score, suspect)
        inside, without = score > limit, ~labeled.has[:, index]
        alarms = Reference(labeled.scores[:, index] > limit, without, labeled.group)
        found.append(
            Candidate(
                name=f"class: {classes[index]}",
                kind="class",
                inside=inside,
                known=np.ones(len(score), dtype=bool),
                strength=score,
                training_share=float(frames_with[index] / max(training_frames, 1)),
                reference=alarms if without.any() else None,
                lacking=1 - float(boxes[index]) / needed,
                assumed_share=SUSPECTED,
                evidence=_class_evidence(float(inside.mean()), alarms.share, int(boxes[index])),
                label=classes[index],
                confirmed=labeled.confirmed(int(index)),
                key=slice_key("class", classes[index]),
            )
        )
    return found


def suspicion_limit(score: Reals, suspect: float) -> float:
    """`suspect`, or less for a class so rare in training that nothing reaches it:
    then the 99th percentile, if that stands out.

    score: (N,) the highest of the class in each frame.
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


@dataclass(frozen=True, eq=False)
class _Groups:
    """code: (N,) int64 group of each frame, from 0. frames: (G,) of each."""

    code: Ints
    frames: Ints

    @classmethod
    def of(cls, group: Ints) -> _Groups:
        _, code, frames = np.unique(group, return_inverse=True, return_counts=True)
        return cls(code.astype(np.int64), frames)

    def counts(self, rows: Ints | Bools) -> Ints:
        """(G,) how many of these frames lie in each group."""
        found: Ints = np.bincount(self.code[rows], minlength=len(self.frames))
        return found

    def totals(self, known: Sequence[Bools]) -> Ints:
        """(S, G) how many frames of each group are known, of each of S."""
        different = {id(each): each for each in known}
        counted = {number: self.counts(each) for number, each in different.items()}
        return np.stack([counted[id(each)] for each in known])


def _tested(
    candidates: Sequence[Candidate], rows: Sequence[Ints], own: _Groups, seed: int
) -> tuple[Reals, Reals]:
    """(S,) p-values, and the least that they could be; 1 where there is nothing to compare with.

    rows: (S,) those of production that are inside.
    """
    p, least = np.ones(len(candidates)), np.ones(len(candidates))
    alike: dict[tuple[int, int], list[int]] = {}
    for place, one in enumerate(candidates):
        if one.reference is not None:
            alike.setdefault((id(one.unit), id(one.reference.group)), []).append(place)
    for places in alike.values():
        some = [candidates[place] for place in places]
        against = [one.reference for one in some if one.reference is not None]
        mine = own if some[0].unit is None else _Groups.of(some[0].unit)
        theirs = _Groups.of(against[0].group)
        size = float(np.median(mine.frames))
        here = Counted(
            np.stack([mine.counts(rows[place]) for place in places]),
            mine.totals([one.known for one in some]),
        ).joined(blocks(mine.frames, size, seed))
        there = Counted(
            np.stack([theirs.counts(each.inside & each.known) for each in against]),
            theirs.totals([each.known for each in against]),
        ).joined(blocks(theirs.frames, size, seed + 1))
        p[places], least[places] = p_more(here, there, seed), least_p(here, there)
    return p, least


def _gap(candidate: Candidate, rows: Ints, loss: Reals, total: float, own: _Groups, shown: bool) -> Gap:
    """With its frames in no order yet.

    rows: that are inside.
    total: of all loss.
    """
    share = len(rows) / max(np.count_nonzero(candidate.known), 1)
    deficit = _deficit(candidate, share)
    here = float(loss[rows].mean()) if len(rows) else 0.0
    others = len(loss) - len(rows)
    elsewhere = (total - here * len(rows)) / others if others else here
    hits = own.counts(rows)
    return Gap(
        name=candidate.name,
        kind=candidate.kind,
        production_share=share,
        training_share=candidate.training_share,
        shown=shown,
        interval=interval(hits, own.counts(candidate.known)),
        deficit=deficit,
        loss_inside=here,
        loss_elsewhere=elsewhere,
        frames=rows,
        groups=int(np.count_nonzero(hits)),
        why=_why(candidate, share, here, elsewhere),
        score=deficit * max(here - elsewhere, SEES_WELL * elsewhere) * candidate.training_known,
        training_known=candidate.training_known,
        key=candidate.key,
    )


def _common(gap: Gap, min_share: float, max_share: float) -> bool:
    """Whether there is enough of it in production, but not more than is usual."""
    if gap.production_share > max_share and gap.production_share < FAR_MORE * gap.training_share:
        return False
    if gap.kind == "class":
        return len(gap.frames) >= MIN_SUSPECTS and gap.groups > 1
    return gap.production_share >= min_share


def _deficit(candidate: Candidate, share: float) -> float:
    here = max(share, candidate.assumed_share)
    if here <= LIFT * candidate.training_share:
        return 0.0
    return here - candidate.training_share if candidate.lacking is None else here * candidate.lacking


def _why(candidate: Candidate, share: float, here: float, elsewhere: float) -> str:
    known = candidate.training_known
    so_far = f" as far as known ({_percent(known)} of it)" if known < NEARLY_ALL else ""
    shares = f"{_percent(share)} of production, {_percent(candidate.training_share)} of training{so_far}"
    errors = f"errors expected there {100 * here:.0f} %, elsewhere {100 * elsewhere:.0f} %"
    return f"{candidate.label or candidate.name}: {candidate.evidence or shares}; {errors}"


def _class_evidence(share: float, alarms: float, boxes: int) -> str:
    return (
        f"suspected in {_percent(share)} of production and in {_percent(alarms)} of labeled frames without"
        f" it, {counted(boxes, 'box', 'boxes')} in training"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
