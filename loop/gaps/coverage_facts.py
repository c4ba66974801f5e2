"""What a comparison found, in numbers small enough to be kept for each day: gaps, shares, and counts of
every two facets crossed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import numpy as np

from db.engine import read, write
from db.page_facts import add_page_fact, drop_page_facts, latest_page_fact, page_fact_dates
from db.tables import utcnow
from loop.base.arrays import Codes, Ints
from loop.base.jsonable import plain
from loop.gaps.closing import NO_LABELS, Closing, Counting
from loop.gaps.compared_frames import Answers, open_compared, save_compared
from loop.math.coverage.comparison import Comparison
from loop.math.coverage.facets import NONE, UNKNOWN, Facet
from loop.math.coverage.gaps import Gap, enough_frames
from loop.project.project import Project

COVERAGE = "coverage/1"
CROSSED = "coverage crossed/2"
"""The number grows whenever what is kept would be read otherwise: what was kept before counts no more."""
MOST_GAPS = 60
MOST_OPTIONS = 16
"""Of an axis; what fewer production frames show is told together."""
MOST_NAMES = 5
KEPT_DAYS = 90
KEPT_NEWEST = 12
"""So many are kept whenever they were made; of the others, the newest of each day."""
SAME_FOR = timedelta(hours=1)
"""So long after it was kept, nothing is written where nothing changed."""


@dataclass(frozen=True, eq=False)
class Axis:
    """A facet that divides both sides; several limits of one measurement are one.

    option_keys, options: keys of the slices and names of K options.
    production, training: (N,) and (M,) int32 index of `options`, NONE or UNKNOWN.
    left_out: how many options are told together with those that are none of them.
    none: whether there are frames of which something is known and that show none of the options.
    """

    key: str
    name: str
    kind: str
    option_keys: tuple[str, ...]
    options: tuple[str, ...]
    production: Codes
    training: Codes
    left_out: int = 0

    @property
    def none(self) -> bool:
        return bool((self.production == NONE).any() or (self.training == NONE).any())


def record(
    project: Project,
    found: Comparison,
    slice_ids: Mapping[str, int],
    closing: Sequence[Closing],
    counting: Mapping[int, Counting],
    said: Mapping[str, Mapping[str, Any]],
    about: Mapping[str, Any],
) -> None:
    """Keeps what a comparison found, and which frames it counted; what is too old goes.

    counting: by slice, the labels that count for it.
    said: what else pages are to say of each gap, by its key.
    about: what else pages are to say of it, as JSON values.
    """
    axes = axes_of(found.facets)
    value = {
        **about,
        "production": len(found.production),
        "training": len(found.training),
        "gaps": [
            _gap(gap, slice_ids, len(found.training), counting) | dict(said[gap.key])
            for gap in found.gaps[:MOST_GAPS]
        ],
        "more_gaps": max(len(found.gaps) - MOST_GAPS, 0),
        "closing": [asdict(one) for one in closing],
        "facets": [_shares(axis, slice_ids) for axis in axes],
    }
    with read(project.engine) as session:
        before = latest_page_fact(session, COVERAGE, utcnow())
    same = before is not None and before.value == plain(value)
    if before and same and utcnow() - before.made_at < SAME_FOR and open_compared(project, before.id):
        return
    with write(project.engine) as session:
        kept = page_fact_dates(session, COVERAGE)
        crossed_before = [number for number, _ in page_fact_dates(session, CROSSED)]
        now = add_page_fact(session, COVERAGE, value)
        add_page_fact(session, CROSSED, {"of": now, **crossed(axes, slice_ids)})
        drop_page_facts(session, [*crossed_before, *too_old(kept)])
    frames = {"production": found.production.seq, "training": found.training.seq}
    answers = [_answers(axis, slice_ids) for axis in axes if axis.key in slice_ids]
    save_compared(project, now, frames, answers, {number: own.frames for number, own in counting.items()})


def _answers(axis: Axis, slice_ids: Mapping[str, int]) -> Answers:
    options = tuple(slice_ids.get(key, 0) for key in axis.option_keys)
    return Answers(slice_ids[axis.key], options, {"production": axis.production, "training": axis.training})


def too_old(kept: Sequence[tuple[int, datetime]]) -> list[int]:
    """Ids of those that go, of (id, made at), oldest first."""
    if not kept:
        return []
    newest = {number for number, _ in kept[-KEPT_NEWEST:]}
    last_of_day = {made.date(): number for number, made in kept}
    since = (kept[-1][1] - timedelta(days=KEPT_DAYS)).date()
    daily = {number for day, number in last_of_day.items() if day >= since}
    return [number for number, _ in kept if number not in newest | daily]


def axes_of(facets: Sequence[Facet]) -> list[Axis]:
    """One for each facet of which something is known on either side, its options the most frequent in
    production first.
    """
    by_key: dict[str, list[Facet]] = {}
    for facet in facets:
        by_key.setdefault(facet.key, []).append(facet)
    return [axis for parts in by_key.values() if len((axis := _axis(parts)).options)]


def crossed(axes: Sequence[Axis], slice_ids: Mapping[str, int]) -> dict[str, Any]:
    """Counts of every two axes: {"axes": [...], "tables": {"0 1": {"production": rows, "training":
    rows}}}, with a row and a column for each option, none of them, and unknown.
    """
    codes = [(_coded(axis, axis.production), _coded(axis, axis.training)) for axis in axes]
    sizes = [len(axis.options) + 2 for axis in axes]
    tables = {
        f"{a} {b}": {
            side: _table(codes[a][place], codes[b][place], sizes[a], sizes[b])
            for place, side in enumerate(("production", "training"))
        }
        for a, b in combinations(range(len(axes)), 2)
    }
    return {"axes": [_named(axis, slice_ids) for axis in axes], "tables": tables}


def _table(rows: Ints, columns: Ints, height: int, width: int) -> list[list[int]]:
    counts = np.bincount(rows * width + columns, minlength=height * width)
    table: list[list[int]] = counts.reshape(height, width).tolist()
    return table


def _coded(axis: Axis, codes: Codes) -> Ints:
    """None of them is the option after the last, unknown the one after that."""
    size = len(axis.options)
    coded = np.where(codes == UNKNOWN, size + 1, np.where(codes == NONE, size, codes))
    return coded.astype(np.int64)


def _axis(facets: Sequence[Facet]) -> Axis:
    first = facets[0]
    keys = [key for facet in facets for key in facet.keys]
    names = [name for facet in facets for name in facet.options]
    sides = [_joined(facets, side) for side in ("production", "training")]
    counts = np.bincount(sides[0][sides[0] >= 0], minlength=len(keys))
    order = np.argsort(-counts, kind="stable")[:MOST_OPTIONS]
    place = np.full(len(keys) + 2, NONE, np.int32)
    place[order] = np.arange(len(order))
    place[UNKNOWN] = UNKNOWN
    here, there = (place[codes] for codes in sides)
    return Axis(
        first.key,
        first.name,
        first.kind,
        tuple(keys[index] for index in order),
        tuple(names[index] for index in order),
        here,
        there,
        len(keys) - len(order),
    )


def _joined(facets: Sequence[Facet], side: str) -> Codes:
    """What several limits of one measurement say together: a frame that passes none of those that are
    known shows none.
    """
    shifted, first = [], 0
    for facet in facets:
        codes: Codes = getattr(facet, side)
        shifted.append(np.where(codes >= 0, codes + np.int32(first), codes))
        first += len(facet.options)
    joined: Codes = np.max(shifted, axis=0)
    return joined


def _named(axis: Axis, slice_ids: Mapping[str, int]) -> dict[str, Any]:
    options = zip(axis.option_keys, axis.options, strict=True)
    return {
        "key": axis.key,
        "name": axis.name,
        "kind": axis.kind,
        "slice_id": slice_ids.get(axis.key),
        "options": [{"slice_id": slice_ids.get(key), "name": name} for key, name in options],
        "none": axis.none,
        "left_out": axis.left_out,
    }


def _shares(axis: Axis, slice_ids: Mapping[str, int]) -> dict[str, Any]:
    """With how many frames of either side show each option, and of how many it is known."""
    named = _named(axis, slice_ids)
    size = len(axis.options)
    here, there = (
        np.bincount(_coded(axis, codes), minlength=size + 2) for codes in (axis.production, axis.training)
    )
    counts = [
        {"production": int(a), "training": int(b)} for a, b in zip(here[:size], there[:size], strict=True)
    ]
    return {
        **named,
        "known": {"production": int(here[: size + 1].sum()), "training": int(there[: size + 1].sum())},
        "options": [option | count for option, count in zip(named["options"], counts, strict=True)],
    }


def _gap(
    gap: Gap, slice_ids: Mapping[str, int], training: int, counting: Mapping[int, Counting]
) -> dict[str, Any]:
    wanted = math.ceil(enough_frames(gap.production_share, gap.training_known * training))
    labeled = len(counting.get(slice_ids[gap.key], NO_LABELS).trained)
    return {
        "slice_id": slice_ids[gap.key],
        "name": gap.name,
        "kind": gap.kind,
        "shown": gap.shown,
        "production_share": gap.production_share,
        "interval": _listed(gap.interval),
        "training_share": gap.training_share,
        "training_known": gap.training_known,
        "loss_inside": gap.loss_inside,
        "loss_elsewhere": gap.loss_elsewhere,
        "score": gap.score,
        "frames": len(gap.frames),
        "groups": gap.groups,
        "labeled": labeled,
        "wanted": wanted,
        "also": list(gap.also[:MOST_NAMES]),
    }


def _listed(interval: Iterable[float] | None) -> list[float] | None:
    return None if interval is None else [float(value) for value in interval]
