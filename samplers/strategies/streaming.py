"""Deciding on frames as they arrive, within a day's budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samplers.engine.components import Admission, Component, Queue, take_turns
from samplers.engine.farthest import Farthest
from samplers.geometry.approximate_distance import covered_distance
from samplers.geometry.distances import nearest_distance
from samplers.pool import DIAMETER, Ints, Pool, Reals, Selection
from samplers.reason import ChosenFrame, Reason

PARTS = 50
RECENT = 10
FEWEST = 20


def _why(frame: ChosenFrame) -> str:
    return f"Passed over at first, now the most different image left: {frame.how_far}"


STREAM = Reason("stream", "When it came in, it looked like nothing that was labeled or chosen before")
SECOND_LOOK = Reason("second_look", _why)


@dataclass(frozen=True)
class StreamSettings:
    """past_gains: distances of the frames of yesterday to what was labeled or kept; those of the
    last tenth of the day when empty.

    tau: a frame no farther than this from anything labeled or kept is not kept.
    """

    past_gains: tuple[float, ...] = ()
    tau: float = 0.0

    def __post_init__(self) -> None:
        if not self.tau >= 0:
            raise ValueError(f"tau: expected 0 or more, got {self.tau}")
        if not all(gain >= 0 for gain in self.past_gains):
            raise ValueError(f"past_gains: expected distances, got {self.past_gains}")


def streaming(
    pool: Pool, k: int, rng: np.random.Generator, settings: StreamSettings | None = None
) -> Selection:
    """Rows in order of arrival: one is kept when its distance to all labeled and kept is beyond tau
    and among the k / N largest of yesterday, and the budget so far, k times the share of the day
    that has passed, allows it.

    What is left of the budget at the end of the day goes to the farthest of what was refused. Cost:
    N (L + k) D in one pass, and k-center's where budget is left. In the manner of threshold
    streaming (Badanidiyuru et al. 2014), without its bound, which distances do not have. A day
    unlike yesterday spends too early or too late, and what is new is often broken. The budget
    shapes the threshold: a smaller one is no prefix of a larger. Seconds play no part.
    """
    if k < 0:
        raise ValueError(f"budget: expected 0 or more frames, got {k}")
    kept, gains = keep(pool, k, settings or StreamSettings())
    value = np.zeros(len(pool))
    value[kept] = gains
    components: list[Component] = [
        Queue(STREAM, kept[np.lexsort((kept, -gains))], value),
        Farthest(SECOND_LOOK, pool.embeddings, pool.labeled, np.arange(len(pool)), rng, weight=0.0),
    ]
    return take_turns(pool, k, components, {"novelty": pool.novelty})


def keep(pool: Pool, k: int, settings: StreamSettings) -> tuple[Ints, Reals]:
    """The rows that are kept as they arrive, in that order, and the distances that decided."""
    size, admission = len(pool), Admission(pool)
    share = min(k / size, 1.0) if size else 0.0
    step = max(1, -(-size // PARTS))
    seen = np.asarray(settings.past_gains, dtype=np.float64)
    rows: list[int] = []
    gains: list[float] = []
    for start in range(0, size, step):
        part = np.arange(start, min(start + step, size))
        far = _distances(pool, part, rows)
        least = max(float(np.quantile(seen, 1 - share)), settings.tau) if len(seen) else np.inf
        for place, row in enumerate(part):
            new = far[place] >= (least if rows or len(pool.labeled) else settings.tau)
            worthy = new and far[place] > settings.tau and len(rows) < share * (row + 1)
            if worthy and admission.open_rows()[row]:
                admission.take(int(row))
                rows.append(int(row))
                gains.append(float(far[place]))
                later = slice(place + 1, None)
                near = nearest_distance(pool.embeddings[part[later]], pool.embeddings[row : row + 1])
                far[later] = np.minimum(far[later], near)
        if not settings.past_gains:
            seen = np.concatenate([seen, far])[-max(size // RECENT, FEWEST) :]
    return np.array(rows, dtype=np.int64), np.array(gains, dtype=np.float64)


def _distances(pool: Pool, part: Ints, kept: list[int]) -> Reals:
    """To what is labeled and what was kept before this part of the day."""
    points = pool.embeddings[part]
    far = np.full(len(part), DIAMETER)
    if len(pool.labeled):
        far = np.minimum(far, covered_distance(points, pool.labeled))
    nearest: Reals = np.minimum(far, nearest_distance(points, pool.embeddings[kept]))
    return nearest
