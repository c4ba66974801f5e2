"""How much each frame that judges counts: by how probable it was that any batch would draw it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.frames import FrameRow
from db.slice_members import members_among
from db.slices import slices
from db.tasks import BatchRow, TaskRow, batches, tasks
from loop.analysis.producers import Producers
from loop.base.arrays import Bools, Reals
from loop.gaps.shown import producer_of
from loop.math.evaluation.inclusion import inclusion_weights
from loop.selection.evaluation_draw import SliceChance, chances_of


def evaluation_answers(done: Iterable[TaskRow]) -> dict[int, TaskRow]:
    """By frame, the answered task that drew it to judge models with."""
    return {task.frame: task for task in done if task.purpose == Purpose.EVALUATION}


def held_out_weights(
    session: Session, made: Producers, held: Sequence[FrameRow], answered: Mapping[int, TaskRow]
) -> Reals:
    """(F,) see `inclusion_weights`; 1 for frames that chance did not draw.

    made: those by whose word a frame shows a slice.
    answered: see `evaluation_answers`.
    A frame could be drawn by every batch that was made once it was there, with the probability that
    the batch gave to the first of its slices that the frame shows.
    """
    weights = np.ones(len(held))
    by_chance = [row for row, frame in enumerate(held) if _drawn_by_chance(answered.get(frame.seq))]
    if not by_chance:
        return weights
    frames = [held[row] for row in by_chance]
    drawn = [answered[frame.seq] for frame in frames]
    known = batches(session)
    kept = [_kept(session, batch) for batch in known]
    inside = _inside(session, made, drawn, {each.slice_id for one in kept for each in one})
    there = [[frame.ingested_at <= batch.created_at for frame in frames] for batch in known]
    chances = np.where(there, [_chances(each, inside, len(frames)) for each in kept], 0.0)
    place = {batch.id: row for row, batch in enumerate(known)}
    own = np.array([place[task.batch_id] for task in drawn], dtype=np.int64)
    for column, (row, task) in enumerate(zip(own.tolist(), drawn, strict=True)):
        chances[row, column] = _chance_there(kept[row], task)
    probability = np.array([task.inclusion_probability for task in drawn], dtype=np.float64)
    weights[by_chance] = inclusion_weights(chances, own, probability)
    return weights


def _drawn_by_chance(task: TaskRow | None) -> bool:
    return task is not None and task.purpose == Purpose.EVALUATION and bool(task.inclusion_probability)


def _kept(session: Session, batch: BatchRow) -> list[SliceChance]:
    """Of a batch that kept none, as its tasks tell: the rarer a slice, the larger was its
    probability.
    """
    kept = chances_of(batch)
    if kept is not None:
        return kept
    drawn = {
        SliceChance(task.slice_id, task.inclusion_probability)
        for task in tasks(session, batch=batch.id)
        if task.purpose == Purpose.EVALUATION and task.inclusion_probability
    }
    return sorted(drawn, key=lambda each: (each.slice_id is None, -each.probability, each.slice_id or 0))


def _inside(
    session: Session, made: Producers, drawn: Sequence[TaskRow], wanted: set[int | None]
) -> dict[int | None, Bools]:
    """By slice, which of the frames show it, or were drawn by it; None: all of them."""
    seqs = np.array([task.frame for task in drawn], dtype=np.int64)
    found: dict[int | None, Bools] = {None: np.ones(len(seqs), dtype=np.bool_)}
    for row in slices(session, ids=[number for number in wanted if number is not None]):
        members = members_among(session, producer_of(row.kind, made), row.id, seqs)
        found[row.id] = np.isin(seqs, members) | np.array([task.slice_id == row.id for task in drawn])
    return found


def _chances(kept: Sequence[SliceChance], inside: Mapping[int | None, Bools], size: int) -> Reals:
    """(F,) the probability of each frame by the first slice that it shows, 0 for none."""
    chances = np.zeros(size)
    for each in reversed(kept):
        chances[inside[each.slice_id]] = each.probability
    return chances


def _chance_there(kept: Sequence[SliceChance], task: TaskRow) -> float:
    """Of the slice that the frame was drawn by."""
    of_slice = {each.slice_id: each.probability for each in kept}
    return of_slice.get(task.slice_id, task.inclusion_probability or 1.0)
