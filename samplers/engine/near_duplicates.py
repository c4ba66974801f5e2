"""Near-duplicates: what a fixed camera shows again and again, by a similarity that the camera
itself teaches.

A frame is thinned out with another when the distance between their embeddings is within the `reach`
of both; they could leak from one side of a split to the other when it is within that of either. The
reach of a frame is the largest step between consecutive frames of its sequence, but never beyond
the camera's threshold (`estimate_threshold`) and never below SAME_VIEW. A copy that was saved anew
stands in no sequence, so its reach is the threshold: on rendered cameras 99 % of copies at JPEG
quality 85, and 97 % at 75, were within it of their originals.

The camera's median is taken from the embeddings first. Distances stay the same, and small ones keep
their precision in float32 where the background makes up most of an embedding. What remains is not
brought to length 1: on rendered cameras that made 74 % of foggy frames duplicates of another foggy
scene, against 7 % without, because all fog differs from the median alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from samplers.geometry.distances import Floats, squared_distances, squared_norms
from samplers.pool import Bools, Ints, Reals

SAME_VIEW = 0.03
"""Between unit embeddings (cosine 0.99955): nothing that the embedder tells apart happened between
them.
"""
BLOCK_ROWS = 512
PROBES = 1000
CHANCE = 0.01
NEARER = 0.6
"""Times the median distance of pictures taken long after one another: near-duplicates share most of
what changes in a scene, 64 % of its squared distance.
"""
FEW_STEPS = 20
QUICK = 0.25
"""Seconds, in which nothing that a fixed camera sees changes as much as in a whole recording."""
NOISE = 2.5
"""Times their median: nearly all distances between pictures that differ by noise alone lie below. Of
2,800 pairs of real frames with noise of 2 to 12 gray levels, the farthest lay 2.6 times apart.
"""
LITTLE_NOISE = 2 * SAME_VIEW
MOST_NOISE = 10 * SAME_VIEW
"""Noise of 8 gray levels on bare asphalt moves the small CLIP by a median of .11."""
MANY_PAIRS = 1 << 20
ROOM = 1 << 23
"""Pairs of rows that are compared at once."""
TINY = 1e-5
"""Of float32, on squared distances that only decide what is looked at more closely."""
TOLD = 64
"""So many coordinates of a vector tell most leaders of its camera apart from it."""
SLACK = 1.02
"""Of float32, on squared shares of a reach that only decide what is looked at more closely."""
ROUNDING = 1.0001
"""The step that sets a reach lies within it, however its distance is computed."""


def near_duplicates(
    vectors: Floats, sequence: Ints, camera: Ints, group: Ints, seconds: Reals | None = None
) -> Ints:
    """(N,) int64 cluster numbers from 0, for thinning: leader clusters within what each camera
    teaches.

    vectors: (N, D) float32 unit rows in order of time.
    sequence: (N,) int, -1 for none.
    camera, group: (N,) int, the group is the camera-day.
    seconds: (N,) when each was taken, NaN where nobody knows; None for nowhere.
    Frames of different cameras never share a cluster. Deterministic. Cost: per camera n^2 D
    multiplications at most, memory its vectors and 512 n numbers.
    """
    cluster = np.zeros(len(vectors), dtype=np.int64)
    used = 0
    for rows in rows_by(camera):
        residual = camera_residual(vectors[rows])
        taken = None if seconds is None else seconds[rows]
        threshold = estimate_threshold(residual, sequence[rows], group[rows], taken)
        reach = reach_of(residual, sequence[rows], group[rows], threshold)
        names, own = np.unique(leaders(residual, reach), return_inverse=True)
        cluster[rows] = used + own
        used += len(names)
    return cluster


def rows_by(code: Ints) -> list[Ints]:
    """The rows of each different number, in their order."""
    order = np.argsort(code, kind="stable")
    return [rows for rows in np.split(order, np.flatnonzero(np.diff(code[order])) + 1) if len(rows)]


def camera_residual(vectors: Floats) -> Floats:
    """(N, D) float32: what differs from the camera's median embedding.

    vectors: those of one camera.
    """
    return vectors - camera_center(vectors) if len(vectors) else vectors


def camera_center(vectors: Floats) -> Floats:
    """(D,) float32: the median of evenly spread ones of (N, D) embeddings of a camera, N at least 1."""
    center: Floats = np.median(vectors[_spread(len(vectors))], axis=0).astype(np.float32)
    return center


def telling_coordinates(vectors: Floats) -> Ints:
    """(K,) int64, rising: the coordinates in which evenly spread ones of (N, D) embeddings vary the
    most, at most 64.
    """
    varies = vectors[_spread(len(vectors))].var(axis=0)
    return np.sort(np.argsort(-varies, kind="stable")[:TOLD])


def may_lead(vectors: Floats, reach: Reals, known: Floats, known_reach: Reals) -> Bools:
    """(L,) bool: which of L known leaders may lead any of N rows, by some coordinates of them.

    vectors: (N, K), known: (L, K) the same coordinates of both.
    Two rows are no nearer than these coordinates say, so none is left out whose distance is within
    reach of both.
    """
    found = np.zeros(len(known), dtype=np.bool_)
    for start in range(0, len(vectors), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        ratio = squared_ratio(vectors[rows], reach[rows], known, known_reach)
        found |= ratio.min(axis=0, initial=np.inf) <= SLACK
    return found


def estimate_threshold(residual: Floats, sequence: Ints, group: Ints, seconds: Reals | None = None) -> float:
    """How far apart near-duplicates of one camera can be: the distance that best tells consecutive
    frames of a sequence from frames that show something else.

    What shows something else are the nearest frames of other days, of up to 1,000 evenly spread
    frames. Where there is one group only, it is those of other sequences. Where these are as near
    as consecutive frames, or there is one sequence only, it is pairs of frames that lie half the
    recording apart, each with its own distance: of hundreds of pictures of a busy road one is as
    near as the next frame, by chance alone. The threshold is the distance with the largest gap
    between the two cumulative shares (Youden 1950), where chance does not explain the gap
    (one-sided Kolmogorov-Smirnov, p < .01). Learned from pairs half the recording apart, it is at
    most .6 times their median: where frames are taken seconds apart, consecutive ones differ too.

    Over several days, frames half the recording apart set no threshold. All days would be
    near-duplicates of one another then, and none could judge what learned from another.

    Where frames half the recording apart differ no more than consecutive ones, nothing changes but
    noise, or everything changes at each step. It is noise where its limit, 2.5 times the median
    step, is at most 2 SAME_VIEW; or at most 10 SAME_VIEW, where at least 20 steps took at most
    .25 s each, for no scene changes so fast. This limit is the threshold then.

    It is 0 where there is too little to learn it from: fewer than 20 pairs of consecutive frames,
    or neither of these differences.
    residual: (n, D) in order of time.
    sequence, group: (n,) int, sequence -1 for none.
    seconds: (n,) see `near_duplicates`.
    """
    runs = _runs(sequence, group)
    left, right = _consecutive(runs)
    if len(left) < FEW_STEPS:
        return 0.0
    steps = _steps(residual, left, right)
    one_day = bool((group == group[0]).all())
    apart = np.where(runs >= 0, runs, -1 - np.arange(len(runs))) if one_day else group
    taught = _telling_apart(steps, _nearest_of_another(residual, apart))
    if taught:
        return taught
    far = _half_apart(residual)
    taught = _telling_apart(steps, far)
    if taught:
        return min(taught, NEARER * float(np.median(far))) if one_day else 0.0
    quick = np.zeros(0) if seconds is None else steps[_quick(seconds[right] - seconds[left])]
    return _within_noise(steps, quick, far)


def _quick(between: Reals) -> Bools:
    """(P,) which frames follow so soon; one stamp for several tells no time between them."""
    found: Bools = (between > 0) & (between <= QUICK)
    return found


def reach_of(residual: Floats, sequence: Ints, group: Ints, threshold: float) -> Reals:
    """(n,) within which distance another frame of the camera is a near-duplicate of each one.

    The largest step between consecutive frames of its sequence, at most the threshold: all that fog
    or night leaves of a scene can lie close together, and one distance for all would take different
    foggy scenes for duplicates. A frame without neighbors in a sequence has the threshold. At least
    SAME_VIEW, everywhere.
    """
    runs = _runs(sequence, group)
    left, right = _consecutive(runs)
    names, code = np.unique(runs, return_inverse=True)
    largest = np.full(len(names), -np.inf)
    np.maximum.at(largest, code[left], _steps(residual, left, right))
    own = largest[code]
    least = np.where(np.isfinite(own), np.minimum(own, threshold), threshold)
    reach: Reals = np.maximum(ROUNDING * least, SAME_VIEW)
    return reach


def leaders(
    vectors: Floats, reach: Reals, known: Floats | None = None, known_reach: Reals | None = None
) -> Ints:
    """(N,) int64 the leader of each row: the nearest one for its reach, of those within it; else
    the row itself leads.

    known: (K, D) leaders from before, with their reach.
    A number below K names one of them, K + i names row i. Rows are taken in order, so a slow pan
    becomes a chain of clusters and not one (Hartigan 1975), and taking them in parts, with the
    leaders so far as `known`, gives the same. Cost: N (K + leaders) D multiplications.
    """
    room = _Leaders(vectors.shape[1], known, known_reach)
    found = np.empty(len(vectors), dtype=np.int64)
    for start in range(0, len(vectors), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        found[block] = room.lead(vectors[block], reach[block], start)
    return found


def connected_groups(vectors: Floats, reach: Reals, camera: Ints | None = None) -> Ints:
    """(N,) int64 group numbers from 0, for leakage: whoever is within reach of a frame, or has it
    within reach, is in its group.

    Chains count, so no such pair lies in two groups, and no leader cluster does.
    camera: (N,) int; frames of different cameras are within reach up to SAME_VIEW only.
    Exact. Cost: N L D multiplications a camera to find its L leader clusters, and L^2 / 2 D for
    those of all cameras: by the triangle inequality these tell which of them can hold a pair at
    all. The members are compared of those alone that no chain joins yet. Memory: a few times 512 L
    numbers, those of 8 million pairs of rows, and the pairs of clusters to be looked into.
    """
    if not len(vectors):
        return np.zeros(0, dtype=np.int64)
    rows = _Rows(vectors, reach, np.zeros(len(vectors), dtype=np.int64) if camera is None else camera)
    node, heads = _leader_nodes(rows)
    group, undecided = _joined_heads(rows, node, heads)
    for pairs in np.split(undecided, np.arange(MANY_PAIRS, len(undecided), MANY_PAIRS)):
        apart = pairs[group[pairs[:, 0]] != group[pairs[:, 1]]]
        group = _merged(group, *_with_near_members(rows, node, apart).T)
    numbers: Ints = np.unique(group[node], return_inverse=True)[1].astype(np.int64)
    return numbers


def squared_ratio(
    left: Floats, left_reach: Reals, right: Floats, right_reach: Reals, *, either: bool = False
) -> NDArray[np.float32]:
    """(A, B) float32: squared distance over the square of the smaller reach, of the larger one with
    `either`: at most 1 within.
    """
    ratio: NDArray[np.float32] = left @ right.T
    ratio *= -2
    ratio += squared_norms(left).astype(np.float32)[:, None]
    ratio += squared_norms(right).astype(np.float32)
    np.maximum(ratio, 0, out=ratio)
    decides = np.minimum if either else np.maximum
    ratio *= decides(_per_square(left_reach)[:, None], _per_square(right_reach))
    return ratio


class _Leaders:
    """Leaders so far, in a matrix that grows by doubling."""

    def __init__(self, dim: int, known: Floats | None, known_reach: Reals | None) -> None:
        self._count = self._known = 0 if known is None else len(known)
        self._vectors = np.zeros((0, dim), dtype=np.float32) if known is None else known
        self._reach = np.zeros(0) if known_reach is None else known_reach
        self._names = np.arange(self._known)

    def lead(self, vectors: Floats, reach: Reals, first: int) -> Ints:
        """The leaders of the next rows; `first` is the number of the first of them."""
        old = squared_ratio(vectors, reach, self._vectors[: self._count], self._reach[: self._count])
        best = old.min(axis=1, initial=np.inf)
        nearest = self._names[old.argmin(axis=1)] if self._count else np.zeros(len(vectors), dtype=np.int64)
        among = squared_ratio(vectors, reach, vectors, reach)
        fresh = _fresh(np.flatnonzero(best > 1), among <= 1)
        later = np.where(np.arange(len(vectors))[:, None] > fresh, among[:, fresh], np.inf)
        closer = later.min(axis=1, initial=np.inf) < best
        if len(fresh):
            nearest[closer] = self._known + first + fresh[later[closer].argmin(axis=1)]
        nearest[fresh] = self._known + first + fresh
        self._add(vectors[fresh], reach[fresh], nearest[fresh])
        return nearest

    def _add(self, vectors: Floats, reach: Reals, names: Ints) -> None:
        total = self._count + len(vectors)
        if total > len(self._vectors):
            grown = np.zeros((max(2 * len(self._vectors), total), self._vectors.shape[1]), dtype=np.float32)
            grown[: self._count] = self._vectors[: self._count]
            self._vectors = grown
        self._vectors[self._count : total] = vectors
        self._reach = np.concatenate([self._reach[: self._count], reach])
        self._names = np.concatenate([self._names[: self._count], names])
        self._count = total


def _fresh(candidates: Ints, near: NDArray[np.bool_]) -> Ints:
    """Those of the candidates, in order, that are near none before them that leads."""
    taken = np.zeros(len(near), dtype=bool)
    fresh = []
    for row in candidates:
        if not taken[row]:
            fresh.append(row)
            taken |= near[row]
    return np.array(fresh, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _Rows:
    """(N, D), (N,) and (N,)."""

    vectors: Floats
    reach: Reals
    camera: Ints

    def within(self, left: Ints, right: Ints) -> Reals:
        """How far apart two rows of one camera, or of two, may be to be near; of arrays that go
        together.
        """
        across = self.camera[left] != self.camera[right]
        limit: Reals = np.where(across, SAME_VIEW, np.maximum(self.reach[left], self.reach[right]))
        return limit


def _leader_nodes(rows: _Rows) -> tuple[Ints, Ints]:
    """(N,) the leader cluster of each row, from 0, and (L,) the rows that lead them."""
    lead = np.empty(len(rows.vectors), dtype=np.int64)
    for own in rows_by(rows.camera):
        lead[own] = own[leaders(rows.vectors[own], rows.reach[own])]
    heads, node = np.unique(lead, return_inverse=True)
    return node, heads


def _joined_heads(rows: _Rows, node: Ints, heads: Ints) -> tuple[Ints, Ints]:
    """(L,) groups of clusters whose leaders are near, and (P, 2) those clusters in two groups that
    may hold near rows.
    """
    wide, span = np.zeros(len(heads)), np.zeros(len(heads))
    np.maximum.at(wide, node, _steps(rows.vectors, np.arange(len(node)), heads[node]))
    np.maximum.at(span, node, rows.reach)
    group: Ints = np.arange(len(heads))
    undecided = [np.zeros((0, 2), dtype=np.int64)]
    widest = replace(rows, reach=span[node])
    for start in range(0, len(heads), BLOCK_ROWS):
        left, right = heads[start : start + BLOCK_ROWS], heads[start:]
        apart = squared_distances(rows.vectors[left], rows.vectors[right])
        limit = widest.within(left[:, None], right) + wide[start : start + BLOCK_ROWS, None] + wide[start:]
        pairs = np.argwhere(np.triu(apart <= (ROUNDING * limit) ** 2 + TINY, 1)) + start
        one, other = heads[pairs].T
        near = _steps(rows.vectors, one, other) <= rows.within(one, other)
        group = _merged(group, *pairs[near].T)
        undecided.append(pairs[~near & (group[pairs[:, 0]] != group[pairs[:, 1]])])
    return group, np.concatenate(undecided)


def _with_near_members(rows: _Rows, node: Ints, pairs: Ints) -> Ints:
    """Those of the pairs (P, 2) of clusters, by the first of the two, of which some rows are near."""
    order = np.argsort(node, kind="stable")
    ends = np.searchsorted(node[order], np.arange(node.max() + 2))
    members = [order[first:end] for first, end in pairwise(ends)]
    found = []
    for asked in rows_by(pairs[:, 0]):
        one = pairs[asked[0], 0]
        linked = _linked(rows, node, members[one], np.concatenate([members[i] for i in pairs[asked, 1]]))
        found.append(np.stack([np.full(len(linked), one), linked], axis=1))
    return np.concatenate(found or [pairs])


def _linked(rows: _Rows, node: Ints, own: Ints, others: Ints) -> Ints:
    """The clusters of those of the others that are near a row of `own`."""
    found: list[Ints] = [np.zeros(0, dtype=np.int64)]
    start = 0
    while start < len(own) and len(others):
        part = own[start : start + max(min(BLOCK_ROWS, ROOM // len(others)), 1)]
        limit = rows.within(part[:, None], others)
        near = squared_distances(rows.vectors[part], rows.vectors[others]) <= limit**2
        found.append(np.unique(node[others[near.any(axis=0)]]))
        others = others[~np.isin(node[others], found[-1])]
        start += len(part)
    return np.concatenate(found)


def _merged(group: Ints, left: Ints, right: Ints) -> Ints:
    """(L,) the groups, those of left and right taken together."""
    if not len(left):
        return group
    joined = coo_array(
        (np.ones(len(left), dtype=bool), (group[left], group[right])), (len(group), len(group))
    )
    merged: Ints = connected_components(joined, directed=False)[1][group]
    return merged


def _per_square(reach: Reals) -> NDArray[np.float32]:
    inverse: NDArray[np.float32] = (1 / np.maximum(reach, 1e-6) ** 2).astype(np.float32)
    return inverse


def _runs(sequence: Ints, group: Ints) -> Ints:
    """(n,) a number for each sequence of each group, -1 for none: names such as "morning" come back
    every day.
    """
    days, day = np.unique(group, return_inverse=True)
    return np.where(sequence >= 0, sequence * len(days) + day, -1)


def _consecutive(runs: Ints) -> tuple[Ints, Ints]:
    """Rows that follow one another in the same run."""
    order = np.argsort(runs, kind="stable")
    left, right = order[:-1], order[1:]
    follows = (runs[left] == runs[right]) & (runs[left] >= 0)
    return left[follows], right[follows]


def _steps(vectors: Floats, left: Ints, right: Ints) -> Reals:
    found = np.empty(len(left))
    for start in range(0, len(left), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        found[part] = np.sqrt(squared_norms(vectors[left[part]] - vectors[right[part]]))
    return found


def _nearest_of_another(vectors: Floats, apart: Ints) -> Reals:
    """(P,) from evenly spread rows to the nearest row of another number; those that have none are
    left out.
    """
    probes = _spread(len(vectors))
    best = np.empty(len(probes))
    one = np.ones(len(vectors))
    for start in range(0, len(probes), BLOCK_ROWS):
        rows = probes[start : start + BLOCK_ROWS]
        squared = squared_ratio(vectors[rows], one[rows], vectors, one)
        squared[apart[rows][:, None] == apart] = np.inf
        best[start : start + BLOCK_ROWS] = np.sqrt(squared.min(axis=1, initial=np.inf))
    found: Reals = best[np.isfinite(best)]
    return found


def _half_apart(vectors: Floats) -> Reals:
    """(P,) distances of evenly spread pairs of rows that lie half the rows apart."""
    half = len(vectors) // 2
    rows = _spread(len(vectors) - half)
    return _steps(vectors, rows, rows + half)


def _within_noise(steps: Reals, quick: Reals, far: Reals) -> float:
    """How far noise alone takes pictures apart, 0 where it may be more than noise.

    quick: those of the steps that took no time in which a scene changes.
    """
    fast = len(quick) >= FEW_STEPS
    limit = NOISE * float(np.median(quick if fast else steps))
    still = float(np.median(far)) <= limit <= (MOST_NOISE if fast else LITTLE_NOISE)
    return limit if still else 0.0


def _telling_apart(near: Reals, far: Reals) -> float:
    if not len(far):
        return 0.0
    cuts, far = np.sort(near), np.sort(far)
    gap = np.arange(1, len(cuts) + 1) / len(cuts) - np.searchsorted(far, cuts, side="right") / len(far)
    best = int(gap.argmax())
    by_chance = np.exp(-2 * max(gap[best], 0) ** 2 * len(cuts) * len(far) / (len(cuts) + len(far)))
    return float(cuts[best]) if by_chance < CHANCE else 0.0


def _spread(count: int) -> Ints:
    """At most 1,000 row numbers, evenly spread."""
    return np.arange(count) if count <= PROBES else np.linspace(0, count - 1, PROBES).astype(np.int64)
