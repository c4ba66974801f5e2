"""Regions that production visits and the training set does not,
found in the embedding space without any name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import silhouette_score

from connectors.ports import Array
from loop.base.arrays import Bools, Ints, Reals
from loop.math.coverage.facets import Facet
from loop.math.coverage.frame_arrays import Vectors, blocks, mean_vector
from loop.math.coverage.gaps import Candidate, Reference
from loop.math.coverage.region_names import describe, nearest_prompts, telling_options
from samplers.engine.near_duplicates import SAME_VIEW

Search = Callable[[Array, int], tuple[Array, Ints]]
"""`search(queries, k)`: cosine similarities (Q, k) and training frame ids (Q, k), best first, -1
for none; a vector index.
"""
ALIKE = 10
"""So many labeled frames nearest to a frame tell what there is to see in it."""
MOST_NEIGHBORS = 64
LINK = 5.0
"""Times the distance to the nearest frame: so near are frames before and after, as fast as things
move.
"""
MOST_PATHS = 2000
FEW = 1024
"""Vectors at a time, so that what is computed of them stays near the processor."""
MOST_REGIONS = 12
SEPARATED = 0.1
FALSE_ALARMS = 0.01
UNCHANGED = 0.1
"""Of production, that still looks like the training set unless all of a place has changed."""
AS_NEAR = 1.1
ORDINARY = 0.25
"""Of production, that is ordinary at least, for images to be seen to have come one by one."""
CLEARLY = 1.25
"""A region's median ratio is at least so many times the limit; 1 % of ordinary frames exceed the
limit as well.
"""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """ids: (M,) int64, as the index knows them.
    vectors: (M, D) unit norm.
    group: (M,) int, the burst or sequence, -1 where nobody knows.

    Neighbors of the same group do not count when a training frame's own distance is measured: they
    are nearly the same picture. Where nobody knows, the 64 nearest frames do not count, nor do all
    that near-copies of near-copies lead to.
    """

    ids: Ints
    vectors: Vectors
    group: Ints


@dataclass(frozen=True, eq=False)
class Near:
    """similarity: (N, k) float32 cosine to the training frames nearest to each of N frames, best
    first.
    rows: (N, k) int, which these are, -1 for none.
    """

    similarity: Array
    rows: NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Nearest:
    """production, training: of the frames of either side.
    Those nearest to a training frame are itself and others of its sequence too.
    """

    production: Near
    training: Near


@dataclass(frozen=True, eq=False)
class Novelty:
    """distance: (N,) to the k-th training neighbor.
    ratio: (N,) that distance over what is usual around there.

    limit: the ratio that 99 of 100 training frames stay below.
    residual: (K, D) unit norm or zero, what sets each of the novel frames apart from its training
    neighbors.
    """

    distance: Reals
    ratio: Reals
    limit: float
    residual: Array

    @property
    def novel(self) -> Bools:
        return self.ratio > self.limit


@dataclass(frozen=True, eq=False)
class Region:
    """rows: (K,) int64 production rows, most typical first.
    inside: (N,) bool.
    typical: (N,) similarity to the region's center, 0 for what is not novel.
    training: (M,) bool, training frames that are as novel, and nearest to this region.

    center: (D,) unit norm, in the space of `Novelty.residual`.
    prompts: (name, similarity relative to the average production frame), nearest first.
    said: the part of the name that describes it.
    key: of the slice that it is, "" before that was looked up.
    """

    name: str
    rows: Ints
    inside: Bools
    typical: Reals
    training: Bools
    ratio: float
    center: Array
    prompts: tuple[tuple[str, float], ...] = ()
    said: str = ""
    key: str = ""


def nearest_of(production: Array, training: TrainingSet, search: Search, k: int) -> Nearest:
    """By a vector index.

    production: (N, D).
    Raises ValueError when there are no training vectors.
    """
    if not len(training.ids):
        raise ValueError("training: expected at least one embedded training frame, got none")
    wanted = max(k, ALIKE)
    return Nearest(
        near(search, production, training.ids, wanted),
        near(search, training.vectors[:], training.ids, wanted + MOST_NEIGHBORS),
    )


def near(search: Search, queries: Array, ids: Ints, k: int) -> Near:
    """The training frames nearest to (Q, D) queries, at most k. ids: (M,) as the index knows them."""
    similarity, found = search(queries, min(k, len(ids)))
    return Near(similarity, _rows_of(found, ids))


def told_apart(training: TrainingSet, nearest: Nearest, k: int) -> TrainingSet:
    """The training set, each frame of which nobody knows the burst in one of its own where they came
    one by one: where a quarter of production or more is as near to them as they are to one another.

    Else they are frames of a video, and nobody knows where its bursts end.
    """
    unknown = training.group < 0
    found = _last_of(nearest.production.similarity[:, :k], nearest.production.rows[:, :k])
    beside = (found.rows[:, 0] >= 0) & unknown[found.rows[:, 0]]
    if not beside.any():
        return training
    alone = np.where(unknown, training.group.max(initial=0) + 1 + np.arange(len(unknown)), training.group)
    apart = replace(training, group=alone)
    own, _ = _own_neighbors(apart, nearest.training, k)
    ratio = (found.last / _mean_over(found, _usual(own)))[beside]
    as_near = np.quantile(ratio, ORDINARY) <= AS_NEAR
    return apart if as_near else training


def independent_groups(training: TrainingSet, group: Ints, near: Near) -> Ints:
    """(M,) int64, which training frames are no independent evidence of one another: their groups,
    and of those of which nobody knows the burst the near-copies of near-copies.

    group: (M,) int, as sources tell it.
    """
    unknown = np.flatnonzero(training.group < 0)
    if not len(unknown):
        return group
    told = Near(
        near.similarity[unknown],
        np.where(near.rows == np.arange(len(group))[:, None], -1, near.rows)[unknown],
    )
    found = group.copy()
    found[unknown] = group.max(initial=0) + 1 + _near_copies(told, unknown, len(group))
    return found


def measure_novelty(
    production: Vectors, training: TrainingSet, nearest: Nearest, k: int
) -> tuple[Novelty, Novelty]:
    """The novelty of production frames (N, D), and of the training frames themselves, each left out
    with its group.

    The distance to the k-th neighbor is divided by the usual such distance of those neighbors
    (simplified local outlier factor, Breunig et al. 2000; Schubert et al. 2014): on fixed cameras
    the background dominates, so fog is nearer to the same camera's daylight than another camera is,
    and only the local comparison finds it.

    Around a video whose frames have no other burst near them, training cannot tell what is usual on
    another day. There it is what the video shows: the distance beyond the 64 nearest frames, and
    that between any two of its frames. Where nine tenths of production are farther away, the whole
    place has changed since, and only what stands out from that is novel.
    """
    found = _last_of(nearest.production.similarity[:, :k], nearest.production.rows[:, :k])
    own, untold = _own_neighbors(training, nearest.training, k)
    usual = _usual(own)
    usual[untold] *= _change_since(found, usual, untold)
    train_ratio = np.where(untold, usual, own.last) / _mean_over(own, usual)
    limit = max(1.0, float(np.quantile(train_ratio[_at_home(own, untold)], 1 - FALSE_ALARMS)))
    ratio = found.last / _mean_over(found, usual)
    return (
        _novelty(production, training, found, ratio, limit),
        _novelty(training.vectors, training, own, train_ratio, limit),
    )


def find_regions(
    production: Vectors,
    novelty: Novelty,
    training_novelty: Novelty,
    sequence: Ints,
    prompts: Sequence[tuple[str, Array]] = (),
    facets: Sequence[Facet] = (),
    min_size: int = 6,
    unlike: Bools | None = None,
) -> list[Region]:
    """Clusters of novel frames, largest first, each with at least `min_size` frames and clearly
    novel.

    Sequences are clustered, not frames, by what sets them apart from the training set (Ward 1963),
    into as many parts as separate best (silhouette, Rousseeuw 1987).
    sequence: (N,) int, -1 for none.
    prompts, facets: what they may be called after; prompts are (name, (D,) unit vector).
    unlike: (N,) frames that prompts say nothing of; a region of mostly such is not called after
    prompts.
    """
    rows = np.flatnonzero(novelty.novel)
    if len(rows) < min_size:
        return []
    code = _sequence_codes(sequence[rows])
    means = _normalized(_mean_by(novelty.residual, code))
    part = _parts(means)
    centers = _normalized(_mean_by(means, part))
    label = np.full(len(production), -1)
    label[rows] = part[code]
    training_label = np.full(len(training_novelty.ratio), -1)
    training_label[training_novelty.novel] = (training_novelty.residual @ centers.T).argmax(axis=1)
    sizes = np.bincount(label[rows], minlength=len(centers))
    found = [
        _region(label == p, centers[p], novelty, training_label == p)
        for p in np.argsort(-sizes, kind="stable")
        if sizes[p] >= min_size
    ]
    clear = [region for region in found if region.ratio >= CLEARLY * novelty.limit]
    deaf = np.zeros(len(production), dtype=np.bool_) if unlike is None else unlike
    average = mean_vector(production) if clear and len(prompts) else None
    return [
        _named(
            n,
            region,
            production,
            average,
            () if deaf[region.rows].mean() > 0.5 else prompts,
            facets,
        )
        for n, region in enumerate(clear, start=1)
    ]


def region_candidates(regions: Sequence[Region], group: Ints) -> list[Candidate]:
    """Regions as candidates for `rank_gaps`. group: (M,) int of the training frames."""
    return [
        Candidate(
            name=region.name,
            kind="region",
            inside=region.inside,
            known=np.ones(len(region.inside), dtype=bool),
            strength=region.typical,
            training_share=float(region.training.mean()),
            reference=Reference(region.training, np.ones(len(region.training), dtype=bool), group),
            key=region.key,
        )
        for region in regions
    ]


@dataclass(frozen=True, eq=False)
class _Neighbors:
    """rows: (Q, k) training rows, -1 for none.

    last: (Q,) distance to the last of them, to anything if there is none.
    """

    rows: NDArray[np.integer]
    last: Reals


def _usual(own: _Neighbors) -> Reals:
    """(M,) distance of each training frame, not so small that rounding decides."""
    usual: Reals = np.maximum(own.last, 0.25 * np.median(own.last) + 1e-6)
    return usual


def _novelty(
    vectors: Vectors, training: TrainingSet, found: _Neighbors, ratio: Reals, limit: float
) -> Novelty:
    novel = np.flatnonzero(ratio > limit)
    apart = _residual(vectors[novel], training, found.rows[novel])
    return Novelty(found.last, ratio, limit, apart)


def _own_neighbors(training: TrainingSet, found: Near, k: int) -> tuple[_Neighbors, Bools]:
    """Of each training frame, those of other bursts; and (M,) whether none tell what is usual
    around it: its neighbors are then its nearest frames, its distance is that of its whole burst.
    """
    most = k + MOST_NEIGHBORS
    similarity, rows, group = found.similarity[:, :most], found.rows[:, :most], training.group
    others = (rows >= 0) & (rows != np.arange(len(rows))[:, None])
    foreign = others & (group[:, None] >= 0) & (group[rows] != group[:, None])
    untold = ~foreign.any(axis=1) | (_size_of_group(group) > MOST_NEIGHBORS)
    counted = np.where(untold[:, None], others, foreign)
    order = np.argsort(~counted, axis=1, kind="stable")[:, :k]
    kept = np.take_along_axis(np.where(counted, rows, -1), order, axis=1)
    last = _last_of(np.take_along_axis(similarity, order, axis=1), kept).last
    alone = np.flatnonzero(untold)
    near = Near(similarity[alone], np.where(others[alone], rows[alone], -1))
    last[alone] = _reach_of_bursts(training.vectors, near, alone, len(rows))
    return _Neighbors(kept, last), untold


def _size_of_group(group: Ints) -> Ints:
    """(M,) how many frames a frame's group has."""
    _, code, count = np.unique(group, return_inverse=True, return_counts=True)
    size: Ints = count[code]
    return size


def _change_since(found: _Neighbors, usual: Reals, untold: Bools) -> float:
    """How many times as far as usual nearly all of the production frames lie whose nearest training
    frame is of a burst that stands alone; at least 1.
    """
    beside = (found.rows[:, 0] >= 0) & untold[found.rows[:, 0]]
    if not beside.any():
        return 1.0
    ratio = found.last / _mean_over(found, usual)
    return max(1.0, float(np.quantile(ratio[beside], UNCHANGED)))


def _at_home(own: _Neighbors, untold: Bools) -> Bools:
    """(M,) training frames that tell the limit: not those few of a place whose nearest others are a
    video of another place.
    """
    home: Bools = untold | (own.rows[:, 0] < 0) | ~untold[own.rows[:, 0]]
    return home


def _reach_of_bursts(vectors: Vectors, near: Near, which: Ints, count: int) -> Reals:
    """(U,) how far from each of these training frames (U,) its burst reaches: the distance of the
    last frame near it, or the root mean square between any two frames of the burst if that is more.

    near: (U, k) other frames, of `count` in all. Of up to 64 frames, the last one tells enough.
    """
    burst, size = np.unique(_near_copies(near, which, count), return_inverse=True, return_counts=True)[1:]
    large = np.flatnonzero(size > MOST_NEIGHBORS)
    place = np.full(len(size), -1)
    place[large] = np.arange(len(large))
    code, total = place[burst], np.zeros((len(large), vectors[:1].shape[1]))
    inside = np.argsort(code, kind="stable")[np.count_nonzero(code < 0) :]
    for start in range(0, len(inside), FEW):
        part = inside[start : start + FEW]
        first = np.flatnonzero(np.diff(code[part], prepend=-1))
        total[code[part[first]]] += np.add.reduceat(vectors[which[part]], first, axis=0)
    reach = _last_of(near.similarity, near.rows).last
    apart = np.sqrt(np.maximum(2 - 2 * ((total / size[large, None]) ** 2).sum(axis=1), 0))
    reach[inside] = np.maximum(reach[inside], apart[code[inside]])
    return reach


def _near_copies(near: Near, which: Ints, count: int) -> Ints:
    """(U,) the burst of each of these training frames, found by likeness: near-copies, in a chain.

    Two frames are such within SAME_VIEW, or within 5 times the distance that each has to its nearest.
    """
    nearest = np.full(count, np.inf)
    nearest[which] = _distance(np.where(near.rows >= 0, near.similarity, -1).max(axis=1))
    links: list[Ints] = [np.zeros((2, 0), dtype=np.int64)]
    for start in range(0, len(which), FEW):
        part = slice(start, start + FEW)
        own, rows = which[part], near.rows[part]
        limit = np.maximum(LINK * np.minimum(nearest[own][:, None], nearest[rows]), SAME_VIEW)
        linked = (rows >= 0) & np.isfinite(nearest[rows]) & (_distance(near.similarity[part]) <= limit)
        left, column = np.nonzero(linked)
        links.append(np.stack([own[left], rows[left, column]]))
    left, right = np.concatenate(links, axis=1)
    graph = coo_array((np.ones(len(left), dtype=np.bool_), (left, right)), (count, count))
    burst: Ints = connected_components(graph, directed=False)[1][which]
    return burst


def _distance(similarity: Array) -> Reals:
    found: Reals = np.sqrt(np.maximum(2 - 2 * similarity.astype(np.float64), 0))
    return found


def _last_of(similarity: Array, rows: NDArray[np.integer]) -> _Neighbors:
    count = (rows >= 0).sum(axis=1)
    place = np.where(count > 0, count, rows.shape[1]) - 1
    last = np.take_along_axis(similarity, place[:, None], axis=1)[:, 0]
    return _Neighbors(rows, _distance(last))


def _rows_of(ids: Ints, known: Ints) -> Ints:
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known[order], ids), len(known) - 1)
    rows = order[place]
    return np.where(known[rows] == ids, rows, -1)


def _mean_over(found: _Neighbors, usual: Reals) -> Reals:
    valid = found.rows >= 0
    total = np.where(valid, usual[found.rows], 0).sum(axis=1)
    mean: Reals = np.where(valid.any(axis=1), total / np.maximum(valid.sum(axis=1), 1), np.median(usual))
    return mean


def _residual(vectors: Array, training: TrainingSet, rows: NDArray[np.integer]) -> Array:
    """Of vectors (K, D) what their neighbors among the training frames, rows (K, k), do not show."""
    found = np.empty(vectors.shape, dtype=np.float32)
    known = training.vectors[:]
    for part, own in blocks(vectors, FEW):
        near, valid = rows[part], (rows[part] >= 0)[:, :, None]
        total = np.zeros(own.shape, dtype=np.float64)
        for column in range(rows.shape[1]):
            total += np.where(valid[:, column], known[near[:, column]], 0)
        found[part] = _normalized(own - total / np.maximum(valid.sum(axis=1), 1))
    return found


def _parts(means: Array) -> Ints:
    """(S,) part of each sequence; beyond 2,000 sequences the rest joins the nearest part."""
    chosen = np.linspace(0, len(means) - 1, min(len(means), MOST_PATHS)).astype(np.int64)
    part = _best_cut(means[chosen])
    if len(chosen) == len(means):
        return part
    centers = _normalized(_mean_by(means[chosen], part))
    nearest: Ints = (means @ centers.T).argmax(axis=1)
    return nearest


def _best_cut(means: Array) -> Ints:
    one = np.zeros(len(means), dtype=np.int64)
    if len(means) < 3:
        return one
    condensed = pdist(means.astype(np.float64))
    tree, square = linkage(condensed, "ward"), squareform(condensed)
    cuts = [
        fcluster(tree, count, "maxclust") - 1 for count in range(2, min(MOST_REGIONS, len(means) - 1) + 1)
    ]
    scored = [(_silhouette(square, cut), -number, cut) for number, cut in enumerate(cuts)]
    best, _, cut = max(scored, key=lambda entry: entry[:2])
    return cut.astype(np.int64) if best > SEPARATED else one


def _silhouette(square: Reals, cut: Ints) -> float:
    parts = len(np.unique(cut))
    if not 2 <= parts < len(cut):
        return -1.0
    return float(silhouette_score(square, cut, metric="precomputed"))


def _region(inside: Bools, center: Array, novelty: Novelty, training: Bools) -> Region:
    rows = np.flatnonzero(inside)
    typical = np.zeros(len(inside))
    typical[novelty.novel] = novelty.residual @ center
    ordered = rows[np.argsort(-typical[rows], kind="stable")]
    ratio = float(np.median(novelty.ratio[rows]))
    return Region("", ordered, inside, typical, training, ratio, center.astype(np.float32))


def _named(
    number: int,
    region: Region,
    production: Vectors,
    average: Array | None,
    prompts: Sequence[tuple[str, Array]],
    facets: Sequence[Facet],
) -> Region:
    close = () if average is None else nearest_prompts(production[region.rows], average, prompts)
    said = describe(telling_options(region.rows, facets), close)
    return replace(region, name=f"region {number}{said}", prompts=close, said=said)


def _sequence_codes(sequence: Ints) -> Ints:
    alone = sequence < 0
    unique = np.where(alone, sequence.max(initial=0) + 1 + np.arange(len(sequence)), sequence)
    codes: Ints = np.unique(unique, return_inverse=True)[1].astype(np.int64)
    return codes


def _mean_by(vectors: Array, code: Ints) -> Reals:
    """(C, D) the mean of the vectors (N, D) of each code 0..C-1."""
    counts = np.bincount(code)
    weights = csr_array((1 / counts[code], (code, np.arange(len(code)))), shape=(len(counts), len(code)))
    means: Reals = weights @ vectors.astype(np.float64)
    return means


def _normalized(vectors: NDArray[np.floating]) -> Array:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(norms > 1e-6, vectors / np.maximum(norms, 1e-6), 0).astype(np.float32)
