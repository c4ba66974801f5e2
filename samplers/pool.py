"""What a strategy sees (`Pool`) and what it answers (`Selection`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from samplers.expected_loss import expected_loss as loss_of_scores
from samplers.geometry.approximate_distance import covered_distance
from samplers.geometry.distances import Floats, squared_norms
from samplers.ragged import Ragged
from samplers.reason import Reason

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
Bools = NDArray[np.bool_]

NOBODY = -1
"""No near-duplicate cluster, no sequence, no slice."""
NO_LIMIT = -1
"""Of a quota, or of what is wanted."""
DIAMETER = 2.0
"""The largest distance between unit vectors: the novelty of everything while nothing is labeled."""


class PoolError(ValueError):
    """An array of the pool is not what a strategy can work with; the message names it."""


@dataclass(frozen=True, eq=False)
class Pool:
    """N frames to choose from. Use `Pool.of` to leave out what is not known.

    ids: (N,) int64, the frames.
    embeddings: (N, D) float32, unit norm or zero.
    labeled: (L, D) float32, what is labeled or queued.
    scores: N arrays of sigmoid scores in 0..1, one per box (K,) or one per box and class (K, C).
    cluster: (N,) int, near-duplicates share a number.
    sequence: (N,) int, a burst or video. In both, -1 is nobody else's.
    slices: (N,) int, of a frame's slice its row of `deficit` and `names`, or -1.
    deficit: (S,) how much of production each slice lacks, >= 0.
    membership: (N,) 0..1, how far a frame is known to belong to its slice.
    novelty: (N,) >= 0, distance to the training set.
    novel_above: beyond it, a frame is unlike the training set.
    excluded: (N,) bool, labeled or queued: neither they nor their near-duplicates are chosen.
    seconds: (N,) > 0, what labeling the frame costs.
    max_per_sequence: 0 for no limit.
    wanted: (S,) int, so many more frames would cover each slice; -1 where nobody counted.
    floors: (S,) int, so many frames of each slice come first, as far as there are any.
    quotas: (S,) int, no more than so many of each are chosen; -1 for no limit.
    queries: (Q, D) float32, what is looked for: confirmed examples, or the vector of a text.
    class_counts: (C,) >= 0, labeled frames that show each class.
    expected_loss: (N,) 0..1, what the detector is expected to get wrong in a frame.
    trust: 0..1, how far that has shown to be so, among frames of no slice.
    """

    ids: Ints
    embeddings: Floats
    labeled: Floats
    scores: Sequence[NDArray[Any]]
    cluster: Ints
    sequence: Ints
    slices: Ints
    deficit: Reals
    names: tuple[str, ...]
    membership: Reals
    novelty: Reals
    novel_above: float
    excluded: Bools
    seconds: Reals
    max_per_sequence: int
    wanted: Ints
    floors: Ints
    quotas: Ints
    queries: Floats
    class_counts: Reals
    expected_loss: Reals
    trust: float

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def near(self) -> Reals:
        """(N,) distance to the nearest labeled frame, infinite where none is; to one that is near,
        never too small, where more than 4,096 are labeled or rows times labeled is over 268
        million.
        """
        return covered_distance(self.embeddings, self.labeled)

    def __post_init__(self) -> None:
        size = len(self.ids)
        for name in ("ids", "cluster", "sequence", "slices"):
            self._set(name, _vector(name, getattr(self, name), size, np.int64))
        for name in ("novelty", "seconds", "membership", "expected_loss"):
            self._set(name, _vector(name, getattr(self, name), size, np.float64))
        self._set("excluded", _vector("excluded", self.excluded, size, np.bool_))
        self._set("deficit", _vector("deficit", self.deficit, len(self.names), np.float64))
        for name in ("wanted", "floors", "quotas"):
            self._set(name, _vector(name, getattr(self, name), len(self.names), np.int64))
        self._set("class_counts", _vector("class_counts", self.class_counts, None, np.float64))
        self._set("embeddings", _unit_rows("embeddings", self.embeddings))
        self._set("labeled", _unit_rows("labeled", self.labeled, self.embeddings.shape[1]))
        self._set("queries", _unit_rows("queries", self.queries, self.embeddings.shape[1]))
        self._set("scores", _scores(self.scores, len(self.ids)))
        _check_values(self)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @classmethod
    def of(
        cls,
        embeddings: ArrayLike,
        *,
        ids: ArrayLike | None = None,
        labeled: ArrayLike | None = None,
        scores: Sequence[NDArray[Any]] | None = None,
        cluster: ArrayLike | None = None,
        sequence: ArrayLike | None = None,
        slices: ArrayLike | None = None,
        deficit: ArrayLike = (),
        names: Sequence[str] = (),
        membership: ArrayLike | None = None,
        novelty: ArrayLike | None = None,
        novel_above: float | None = None,
        excluded: ArrayLike | None = None,
        seconds: ArrayLike | None = None,
        max_per_sequence: int = 0,
        wanted: ArrayLike | None = None,
        floors: ArrayLike | None = None,
        quotas: ArrayLike | None = None,
        queries: ArrayLike | None = None,
        class_counts: ArrayLike = (),
        expected_loss: ArrayLike | None = None,
        trust: float = 0.0,
    ) -> Pool:
        """A pool in which what is not given is neutral: novelty is then `near`, the distance to the
        nearest labeled frame, at most 2, novel the upper half, and expected_loss what the scores
        alone say.

        Raises PoolError naming the array, what was expected and what was found.
        """
        rows = _unit_rows("embeddings", np.asarray(embeddings))
        size = len(rows)
        known = np.zeros((0, rows.shape[1])) if labeled is None else np.asarray(labeled)
        known_rows = _unit_rows("labeled", known, rows.shape[1])
        near = covered_distance(rows, known_rows) if novelty is None else None
        far = np.asarray(novelty, dtype=np.float64) if near is None else np.minimum(near, DIAMETER)
        none = Ragged(np.zeros(0), np.zeros(size + 1, dtype=np.int64))
        boxes = _scores(none if scores is None else scores, size)
        if expected_loss is None:
            expected_loss = np.zeros(size) if scores is None else loss_of_scores(boxes)
        pool = cls(
            ids=_or(ids, np.arange(size)),
            embeddings=rows,
            labeled=known_rows,
            scores=boxes,
            cluster=_or(cluster, np.full(size, NOBODY)),
            sequence=_or(sequence, np.full(size, NOBODY)),
            slices=_or(slices, np.full(size, NOBODY)),
            deficit=np.asarray(deficit),
            names=tuple(names),
            membership=_or(membership, np.ones(size)),
            novelty=far,
            novel_above=float(np.median(far) if size else 0.0) if novel_above is None else novel_above,
            excluded=_or(excluded, np.zeros(size, dtype=bool)),
            seconds=_or(seconds, np.ones(size)),
            max_per_sequence=max_per_sequence,
            wanted=_or(wanted, np.full(len(names), NO_LIMIT)),
            floors=_or(floors, np.zeros(len(names), dtype=np.int64)),
            quotas=_or(quotas, np.full(len(names), NO_LIMIT)),
            queries=_unit_rows("queries", _or(queries, np.zeros((0, rows.shape[1]))), rows.shape[1]),
            class_counts=np.asarray(class_counts),
            expected_loss=np.asarray(expected_loss),
            trust=trust,
        )
        if near is not None:
            pool.__dict__["near"] = near
        return pool


@dataclass(frozen=True, eq=False)
class Selection:
    """k chosen frames, best first.

    indices: (k,) int64 rows of the pool, unique.
    gains: (k,) float64, never rising. Where one component chooses, what each pick was worth to it
    when it was made; where several take turns, by how much the turn was its component's (see
    `take_turns`), which says nothing of the frame. Either way what a later one has, where that is
    more (a floor comes first, whatever it is worth). A strategy whose plan depends on the budget
    says that a smaller budget is no prefix of a larger.
    contributions: {name: (k,) float64}.
    reasons: (k,) why the component that chose each frame did so.
    """

    indices: Ints
    gains: Reals
    contributions: dict[str, Reals]
    reasons: tuple[Reason, ...]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def component(self) -> NDArray[np.str_]:
        """(k,) the name of the component that chose each frame."""
        return np.array([reason.component for reason in self.reasons], dtype=np.str_)


def views_of(cluster: Ints) -> Ints:
    """Rows, rising: the first of each near-duplicate cluster, and those of none. cluster: (N,)."""
    alone = np.where(cluster == NOBODY, NOBODY - 1 - np.arange(len(cluster)), cluster)
    views: Ints = np.sort(np.unique(alone, return_index=True)[1])
    return views


Strategy = Callable[[Pool, int, np.random.Generator], Selection]


def _or(given: ArrayLike | None, default: NDArray[Any]) -> NDArray[Any]:
    return default if given is None else np.asarray(given)


def _vector(name: str, value: NDArray[Any], size: int | None, dtype: type[Any]) -> NDArray[Any]:
    array = np.asarray(value)
    if array.ndim != 1 or (size is not None and len(array) != size):
        wanted = "classes" if size is None else size
        raise PoolError(f"{name}: expected shape ({wanted},), got {array.shape}")
    _refuse_nan(name, array)
    out = array.astype(dtype)
    wrong = np.flatnonzero(out != array)
    if len(wrong):
        raise PoolError(f"{name}: expected {np.dtype(dtype).name}, got {array[wrong[0]]} in row {wrong[0]}")
    return out


def _unit_rows(name: str, value: NDArray[Any], width: int | None = None) -> Floats:
    rows = np.ascontiguousarray(value, dtype=np.float32)
    if rows.ndim != 2 or (width is not None and rows.shape[1] != width):
        raise PoolError(f"{name}: expected shape (rows, {width or 'D'}), got {rows.shape}")
    norms = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    for row in np.flatnonzero(~np.isfinite(norms)):
        _refuse_nan(name, rows[row : row + 1], first=int(row))
    wrong = np.flatnonzero((np.abs(norms - 1) > 0.01) & (norms > 0))
    if len(wrong):
        raise PoolError(
            f"{name}: expected rows of norm 1 (or 0), "
            f"got {squared_norms(rows[wrong[:1]])[0] ** 0.5:.3f} in row {wrong[0]}"
        )
    return rows


def _scores(value: Sequence[NDArray[Any]], size: int) -> Sequence[NDArray[Any]]:
    if len(value) != size:
        raise PoolError(f"scores: expected one array per frame, {size}, got {len(value)}")
    if isinstance(value, Ragged) and value.values.ndim in (1, 2):
        _check_scores(value.values, value)
        return value
    scores = [np.asarray(frame) for frame in value]
    wrong = next((row for row, frame in enumerate(scores) if frame.ndim not in (1, 2)), None)
    if wrong is not None:
        raise PoolError(
            f"scores: expected (K,) or (K, C) per frame, got {scores[wrong].shape} in row {wrong}"
        )
    if scores:
        distinct = {id(frame): frame for frame in scores}
        _check_scores(np.concatenate([frame.ravel() for frame in distinct.values()]), scores)
    return scores


def _check_scores(flat: NDArray[Any], scores: Sequence[NDArray[Any]]) -> None:
    if not np.isfinite(flat).all():
        row = next(row for row, frame in enumerate(scores) if not np.isfinite(frame).all())
        _refuse_nan("scores", np.array([scores[row].sum()]), first=row)
    if flat.size and (flat.min() < 0 or flat.max() > 1):
        raise PoolError(f"scores: expected sigmoid scores in 0..1, got {flat.min():.3f}..{flat.max():.3f}")


def _refuse_nan(name: str, array: NDArray[Any], first: int = 0) -> None:
    if array.dtype.kind in "fc" and not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise PoolError(
            f"{name}: expected finite numbers, got {array[row]} in row {first + row}; leave that frame out"
        )


def _check_values(pool: Pool) -> None:
    known = len(pool.names)
    checks: tuple[tuple[str, bool, str], ...] = (
        ("embeddings", len(pool.embeddings) == len(pool), f"{len(pool)} rows, one per id"),
        ("ids", len(np.unique(pool.ids)) == len(pool), "each frame once"),
        (
            "slices",
            bool(np.all((pool.slices >= NOBODY) & (pool.slices < known))),
            f"-1..{known - 1}, rows of names",
        ),
        ("deficit", bool(np.all(pool.deficit >= 0)), "numbers >= 0"),
        ("novelty", bool(np.all(pool.novelty >= 0)), "numbers >= 0"),
        ("membership", bool(np.all((pool.membership >= 0) & (pool.membership <= 1))), "numbers in 0..1"),
        ("novel_above", bool(np.isfinite(pool.novel_above)), "a finite number"),
        ("seconds", bool(np.all(pool.seconds > 0)), "numbers > 0"),
        ("wanted", bool(np.all(pool.wanted >= NO_LIMIT)), "-1 (unknown), 0 or more frames of each slice"),
        ("floors", bool(np.all(pool.floors >= 0)), "0 or more frames of each slice"),
        ("quotas", bool(np.all(pool.quotas >= NO_LIMIT)), "-1 (no limit), 0 or more frames of each slice"),
        ("class_counts", bool(np.all(pool.class_counts >= 0)), "numbers >= 0"),
        (
            "expected_loss",
            bool(np.all((pool.expected_loss >= 0) & (pool.expected_loss <= 1))),
            "numbers in 0..1",
        ),
        ("trust", 0 <= pool.trust <= 1, "a number in 0..1"),
        ("max_per_sequence", pool.max_per_sequence >= 0, "0 (no limit) or more"),
    )
    for name, holds, expected in checks:
        if not holds:
            raise PoolError(f"{name}: expected {expected}, got {_brief(getattr(pool, name))}")


def _brief(value: object) -> str:
    return (
        f"an array of shape {value.shape}" if isinstance(value, np.ndarray) and value.ndim > 1 else str(value)
    )
