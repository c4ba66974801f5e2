"""Sets of frames: how many meet a query, which come first, and how they are spread.

One `FrameSets` is kept for each project for as long as the process lasts, so that a question at a
million frames costs some passes over columns in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from connectors.ports import Array, Purpose
from db.analysis import load_embeddings
from db.consensus import contested_frames, seconded_frames
from db.engine import read
from db.frame_columns import ORIGINS, ROLES
from db.frame_sets import (
    FrameTable,
    FrameTables,
    MemberSets,
    dataset_frames,
    frames_chosen,
    frames_labeled_by,
    labeled_frames,
    lot_frames,
    priorities,
    task_frames,
)
from db.guidelines import outdated_frames
from db.labels import labeled_ids
from db.lots import lots_of_labels
from db.page_facts import latest_page_fact
from db.progress import seen_frames
from db.slice_members import Members
from db.slices import SliceRow, slice_by_id, slices
from db.states import OPEN_TASKS, LotStatus, Origin, Role, SliceKind, TaskStatus
from loop.base.arrays import Bools, Ints, Reals
from loop.base.errors import ConfigError
from loop.insights.frame_days import NO_DAY, local_days, months, seconds_of
from loop.insights.frame_facts import (
    Known,
    LabelClasses,
    class_key,
    detector_of,
    known_producers,
    member_sets,
)
from loop.insights.frame_order import behind, cursor, first, read_cursor
from loop.insights.frame_query import (
    ALIKE,
    CLEAREST,
    CONTESTED,
    FALSE,
    IMPORTED,
    MISSED,
    NEWEST,
    NO_ERROR,
    NO_TASK,
    NOT_KNOWN,
    OLDEST,
    OTHER_CLASS,
    OUTDATED,
    PEOPLE,
    QUEUED,
    SIDES,
    TWICE,
    UNSEEN,
    WORTH,
    YES,
    Choices,
    FrameQuery,
)
from loop.insights.frame_search import FrameSearch
from loop.insights.model_errors import ErrorSets
from loop.labeling.consensus import FUSED
from loop.labeling.ruling import UNSEEN as RULE_UNSEEN
from loop.project.project import Project
from loop.project.wiring import Parts

PAGE = 60
LONGEST_PAGE = 500
BARS = 12
MOST_DAYS = 62
"""Beyond so many days a distribution over time is one over months."""
CAMERA, SITE, DAY, OF_CLASS, SLICE, TASK, ORIGIN, ERROR = DISTRIBUTIONS = (
    "camera",
    "site",
    "day",
    "class",
    "slice",
    "task",
    "origin",
    "error",
)
SAID_OF_ERRORS = {
    MISSED: "missed an object",
    FALSE: "saw what is none",
    OTHER_CLASS: "took it for another class",
    NO_ERROR: "was right",
}
NOT_JUDGED = "not known: no label, or not seen"
LAST = -np.inf
"""Sorts behind everything."""


@dataclass(frozen=True, eq=False)
class FrameSet:
    """The frames that meet a query.

    mask: (N,) rows of the table that are inside.
    order: how they are ordered: newest, oldest, clearest, worth or alike.
    value: (N,) by what, larger first, -inf where it is not known; None for time alone.
    note: what is to be known of it, "" for nothing.
    """

    query: FrameQuery
    table: FrameTable
    mask: Bools
    order: str
    value: Reals | None = None
    note: str = ""

    @property
    def count(self) -> int:
        return int(np.count_nonzero(self.mask))


@dataclass(frozen=True)
class Place:
    """One frame of a page. value: what it was sorted by, None where that is its time or not known."""

    seq: int
    value: float | None


@dataclass(frozen=True)
class FramePage:
    """Frames of a set in its order.

    after, before: cursors of the pages behind and in front of this one, None where there is none.
    """

    places: tuple[Place, ...]
    after: str | None
    before: str | None


@dataclass(frozen=True)
class Bar:
    """So many frames of a set have one value. query: the set of those."""

    name: str
    count: int
    query: FrameQuery


@dataclass(frozen=True)
class Distribution:
    """How a set is spread over cameras, sites, days, classes, slices, states of tasks, origins, or the
    errors of a model.

    bars: the most frequent first, days and months in their order. left_out: bars beyond those.
    unknown: frames of which the value is not known; None where that cannot be.
    """

    by: str
    bars: tuple[Bar, ...]
    left_out: int = 0
    unknown: Bar | None = None


class FrameSets:
    """Finds sets of frames of one project. Safe from several threads."""

    def __init__(self, parts: Parts) -> None:
        self.project = parts.project
        self.search = FrameSearch(parts.project, parts.embedder)
        self._tables = FrameTables(parts.project.engine, parts.project.indexes)
        self._labels = LabelClasses()
        self.errors = ErrorSets(parts.project)
        self._days: tuple[FrameTable, Ints] | None = None

    @cached_property
    def _members(self) -> MemberSets:
        return member_sets(self.project)

    def find(self, query: FrameQuery) -> FrameSet:
        """Raises ConfigError for a camera-day, slice or frame that is none, StateError."""
        table = self._tables.now()
        with read(self.project.engine) as session:
            known = known_producers(session, self.project)
            mask = self._where_and_when(table, query)
            for part in self._of_database(session, table, query, known):
                mask &= part
            order = query.order or (ALIKE if query.is_search else NEWEST)
            found = FrameSet(query, table, mask, order)
            if query.is_search:
                vector = self.search.vector_of(session, known.embedder, query)
                found = self._alike(session, found, known, vector)
            notes = found.note, _unseen(session, query, known), _of_area(self.project, query)
            found = replace(found, note="; ".join(filter(None, notes)))
            return self._ordered(session, found, known)

    def choices(self) -> Choices:
        """The cameras, sites and classes that there are, in order."""
        table = self._tables.now()
        return Choices(tuple(sorted(table.cameras)), tuple(sorted(table.sites)), self.project.classes)

    def find_like(self, query: FrameQuery, vector: Array) -> FrameSet:
        """Those of a set that are most like a vector (D,) of unit norm, such as of a picture."""
        found = self.find(query)
        with read(self.project.engine) as session:
            found = replace(found, order=ALIKE)
            return self._alike(session, found, known_producers(session, self.project), vector)

    def nearest(self, seq: int, most: int, training: bool = False) -> list[Place]:
        """The production frames, or those labeled to train on, that are most like a frame; not itself.
        None where the embedder has not seen it.
        """
        table = self._tables.now()
        with read(self.project.engine) as session:
            known = known_producers(session, self.project)
            if known.embedder is None:
                return []
            vector = load_embeddings(session, known.embedder, [seq])[1]
            if not len(vector):
                return []
            if training:
                mask = table.mask(np.array(labeled_ids(session, Purpose.TRAIN), np.int64))
            else:
                mask = table.origin == ORIGINS.index(Origin.PRODUCTION)
            mask &= table.seq != seq
            alike = self.search.among(session, known.embedder, vector[0], _inside_of(table, mask), most)
        pairs = zip(alike.frames.tolist(), alike.similarity.tolist(), strict=True)
        return [Place(frame, value) for frame, value in pairs]

    def page(self, found: FrameSet, after: str = "", before: str = "", size: int = PAGE) -> FramePage:
        """The frames behind the cursor `after`, or in front of `before`; the first without either.

        Raises ConfigError for what is no cursor, or no size of a page.
        """
        if not 1 <= size <= LONGEST_PAGE:
            raise ConfigError(f"frames: expected 1 to {LONGEST_PAGE} frames on a page, got {size}")
        key, table = self._key(found), found.table
        if before:
            value, row = read_cursor(table.seq, before)
            rows = first(-key, found.mask, (-value, row), size, reverse=True)[::-1]
        else:
            rows = first(key, found.mask, read_cursor(table.seq, after) if after else None, size)
        if not len(rows):
            return FramePage((), None, None)
        top, last = ((float(key[row]), int(row)) for row in (rows[0], rows[-1]))
        more = behind(key, found.mask, last).any()
        front = behind(-key, found.mask, (-top[0], top[1]), reverse=True).any()
        return FramePage(
            tuple(_place(found, row) for row in rows.tolist()),
            cursor(table.seq, *last) if more else None,
            cursor(table.seq, *top) if front else None,
        )

    def ids(self, found: FrameSet, limit: int | None = None) -> Ints:
        """Ids of the set in its order, all of them or the first so many."""
        key = self._key(found)
        size = found.count if limit is None else min(limit, found.count)
        return found.table.seq[first(key, found.mask, None, size)] if size else np.zeros(0, np.int64)

    def neighbors(self, found: FrameSet, seq: int) -> tuple[int | None, int | None]:
        """The frames in front of and behind this one in the order of a set that it is in."""
        rows = found.table.rows(np.array([seq], np.int64))
        if not len(rows) or not found.mask[rows[0]]:
            return None, None
        key, row = self._key(found), int(rows[0])
        later = first(key, found.mask, (float(key[row]), row), 1)
        front = first(-key, found.mask, (-float(key[row]), row), 1, reverse=True)
        before, after = (int(found.table.seq[each[0]]) if len(each) else None for each in (front, later))
        return before, after

    def distribution(self, found: FrameSet, by: str, most: int = BARS) -> Distribution:
        """Raises ConfigError for what a set is not spread over."""
        if by not in DISTRIBUTIONS:
            raise ConfigError(f"frames: expected one of {', '.join(DISTRIBUTIONS)}, got {by!r}")
        table, query = found.table, found.query.but(order=None) if not found.query.is_search else found.query
        if by in (CAMERA, SITE):
            codes, names = (table.camera, table.cameras) if by == CAMERA else (table.site, table.sites)
            counts = np.bincount(codes[found.mask], minlength=len(names))
            bars = [
                Bar(name, int(n), query.but(**{by: name})) for name, n in zip(names, counts, strict=True) if n
            ]
            return _spread(by, bars, most)
        if by == DAY:
            return self._by_time(found, query)
        if by == ORIGIN:
            counts = np.bincount(table.origin[found.mask], minlength=len(ORIGINS))
            pairs = zip(ORIGINS, counts.tolist(), strict=True)
            return _spread(by, [Bar(str(name), n, query.but(origin=name)) for name, n in pairs if n], most)
        with read(self.project.engine) as session:
            if by == TASK:
                return self._by_task(session, found, query)
            if by == ERROR:
                return self._by_error(session, found, query)
            known = known_producers(session, self.project)
            if by == OF_CLASS:
                bars = [
                    Bar(
                        name,
                        _inside(self._class(session, table, name, known), found.mask),
                        _and(query, OF_CLASS, name),
                    )
                    for name in self.project.classes
                ]
                return _spread(by, [bar for bar in bars if bar.count], most)
            bars = []
            for row in slices(session):
                if row.retired_at is None and row.kind not in (SliceKind.FACET, SliceKind.CLASS):
                    rows = table.rows(self._shows(session, row, known).frames)
                    inside = int(np.count_nonzero(found.mask[rows]))
                    if inside:
                        bars.append(Bar(row.name, inside, _and(query, SLICE, row.id)))
            return _spread(by, bars, most)

    def _where_and_when(self, table: FrameTable, query: FrameQuery) -> Bools:
        mask = np.ones(len(table), np.bool_)
        for names, codes, wanted in (
            (table.cameras, table.camera, query.camera),
            (table.sites, table.site, query.site),
        ):
            if wanted:
                mask &= _any_of(codes, [names.index(name) for name in wanted if name in names])
        if query.origin:
            mask &= table.origin == ORIGINS.index(Origin(query.origin))
        if query.role:
            mask &= table.role == ROLES.index(Role(query.role))
        timezone = self.project.settings.frames.timezone
        if query.since:
            mask &= table.captured_at >= seconds_of(query.since, timezone)
        if query.until:
            mask &= table.captured_at < seconds_of(query.until, timezone, ends=True)
        if query.time:
            mask &= np.isnan(table.captured_at) == (query.time == "unknown")
        return mask

    def _of_database(
        self, session: Session, table: FrameTable, query: FrameQuery, known: Known
    ) -> Iterable[Bools]:
        if query.task:
            yield self._tasks(session, table, query)
        elif query.batch:
            yield table.mask(task_frames(session, batches=query.batch))
        if query.chosen_since:
            since = _moment_of(query.chosen_since, self.project.settings.frames.timezone)
            yield table.mask(frames_chosen(session, since))
        if query.label or query.labeled_since:
            yield table.mask(self._labeled_by(session, query))
        for inside, kinds in ((True, query.seen_by), (False, query.not_seen_by)):
            for kind in kinds:
                yield self._seen(session, table, kind, known) == inside
        if query.compared or query.facet or query.counts_for:
            yield from self._compared(session, table, query)
        if query.labeled:
            yield table.mask(labeled_frames(session)) == (query.labeled == YES)
        if query.area:
            from loop.insights.lasso import frames_in  # large, and few ask for it

            yield table.mask(frames_in(self.project, query.area))
        if query.lot:
            yield _in_lots(session, table, query.lot)
        if query.dataset:
            yield table.mask(dataset_frames(session, query.dataset, query.split))
        if query.model_error:
            detector = detector_of(session, self.project, query.model)
            errors = self.errors.of(session, detector)
            met = table.mask(errors.of(query.model_error))
            yield met | ~table.mask(errors.frames) if NOT_KNOWN in query.model_error else met
        for wanted, slice_ids in ((True, query.slice), (False, query.not_slice)):
            for number in slice_ids:
                shown = self._shows(session, slice_by_id(session, number), known).frames
                yield table.mask(shown) == wanted
        for wanted, names in ((True, query.class_name), (False, query.not_class)):
            for name in names:
                yield self._class(session, table, name, known) == wanted

    def _tasks(self, session: Session, table: FrameTable, query: FrameQuery) -> Bools:
        statuses = {TaskStatus(name) for name in query.task if name not in (QUEUED, NO_TASK)}
        if QUEUED in query.task:
            statuses |= set(OPEN_TASKS)
        found = np.zeros(len(table), np.bool_)
        if statuses:
            found |= table.mask(task_frames(session, statuses, query.batch))
        if NO_TASK in query.task:
            found |= ~table.mask(task_frames(session))
        return found

    def _labeled_by(self, session: Session, query: FrameQuery) -> Ints:
        asked = query.labeled_since
        since = None if asked is None else _moment_of(asked, self.project.settings.frames.timezone)
        sources = [SOURCES[name] for name in query.label if name in SOURCES]
        rules = [RULE_UNSEEN] if UNSEEN in query.label else []
        several = [seq for name, of in SEVERAL.items() if name in query.label for seq in of(session)]
        found = np.array(several, np.int64)
        if since is not None and several:
            found = np.intersect1d(found, frames_labeled_by(session, [], since=since))
        if not (query.label and {*query.label} <= {*SEVERAL}):
            found = np.union1d(found, frames_labeled_by(session, sources, rules, since))
        return found

    def _seen(self, session: Session, table: FrameTable, kind: str, known: Known) -> Bools:
        made = {"embedder": known.embedder, "detector": known.detector, "measure": known.measure}[kind]
        if made is None:
            return np.zeros(len(table), np.bool_)
        frames, inside = seen_frames(session, kind, made)
        seen = table.mask(np.array(frames, np.int64))
        return seen if inside else ~seen

    def _compared(self, session: Session, table: FrameTable, query: FrameQuery) -> Iterable[Bools]:
        """As the last comparison found it. Raises ConfigError where its frames are not kept."""
        from loop.gaps.compared_frames import open_compared
        from loop.gaps.coverage_facts import COVERAGE

        fact = latest_page_fact(session, COVERAGE)
        kept = None if fact is None else open_compared(self.project, fact.id)
        if kept is None:
            raise ConfigError(
                "frames: expected a comparison whose frames are kept, got none; run `fieldloop gaps`, or"
                " press Look again on /coverage"
            )
        if query.compared:
            yield table.mask(kept.frames[query.compared])
        for asked in query.facet:
            side = SIDES["pt".index(asked[0])]
            for answer in asked[1:].split("_"):
                facet, _, option = answer.partition(".")
                yield table.mask(kept.answered(side, int(facet), option))
        for number in query.counts_for:
            yield table.mask(kept.counting(number))

    def _shows(self, session: Session, row: SliceRow, known: Known) -> Members:
        made = known.of(row.kind)
        return NOBODY if made is None else self._members.of(session, made, row.id)

    def _class(self, session: Session, table: FrameTable, name: str, known: Known) -> Bools:
        """Frames labeled with the class, and unlabeled ones on which the detector suspects it."""
        labeled = self._labels.now(session)
        rows = [row for row in slices(session, [SliceKind.CLASS]) if row.key == class_key(name)]
        found = np.zeros(len(table), np.bool_)
        for row in rows:
            found |= table.mask(self._shows(session, row, known).frames)
        found &= ~table.mask(labeled.frames)
        found |= table.mask(labeled.of(name))
        return found

    def _alike(self, session: Session, found: FrameSet, known: Known, vector: Array) -> FrameSet:
        """The frames of a set that are most like a vector; their similarity is their value."""
        table, asked = found.table, found.count
        if known.embedder is None or not asked:
            return found

        alike = self.search.among(session, known.embedder, vector, _inside_of(table, found.mask))
        value = np.full(len(table), LAST)
        value[table.rows(alike.frames)] = alike.similarity
        mask = table.mask(alike.frames)
        note = f"the {len(alike.frames)} most alike of {asked}" if len(alike.frames) < asked else ""
        return replace(found, mask=mask, value=value, note=note)

    def _ordered(self, session: Session, found: FrameSet, known: Known) -> FrameSet:
        query, table = found.query, found.table
        if query.order == CLEAREST:
            shown = self._shows(session, slice_by_id(session, query.slice[0]), known)
            return replace(found, value=_valued(table, shown.frames, shown.strength))
        if query.order == WORTH:
            return replace(found, value=_valued(table, *priorities(session)))
        return found

    def _key(self, found: FrameSet) -> Reals:
        """(N,) larger first; frames of one value come newest first."""
        if found.value is not None:
            return found.value
        taken = found.table.captured_at
        return np.where(np.isnan(taken), LAST, -taken if found.order == OLDEST else taken)

    def _by_time(self, found: FrameSet, query: FrameQuery) -> Distribution:
        days = self._local_days(found.table)[found.mask]
        dated = days[days > NO_DAY]
        unknown = len(days) - len(dated)
        lacking = Bar("time not known", unknown, query.but(time="unknown")) if unknown else None
        if not len(dated):
            return Distribution(DAY, (), 0, lacking)
        begin = int(dated.min())
        counts = np.bincount(dated - begin)
        shown = np.flatnonzero(counts)
        taken = [(date(1970, 1, 1) + timedelta(days=begin + int(day)), int(counts[day])) for day in shown]
        spans = [(f"{day}", day, day, n) for day, n in taken] if len(taken) <= MOST_DAYS else months(taken)
        bars = []
        for place, (name, begins, ends, count) in enumerate(spans):
            since = query.since if query.since and place == 0 else str(begins)
            until = query.until if query.until and place == len(spans) - 1 else str(ends)
            bars.append(Bar(name, count, query.but(**{"from": since, "to": until})))
        return Distribution(DAY, tuple(bars), 0, lacking)

    def _by_error(self, session: Session, found: FrameSet, query: FrameQuery) -> Distribution:
        """By the deployed model, or the one that the query asks about. A frame may have several errors;
        unknown are those without a label, and those that the model has not seen.
        """
        try:
            detector = detector_of(session, self.project, query.model)
        except ConfigError:  # no model has seen a frame
            unknown = Bar(NOT_JUDGED, found.count, query) if found.count else None
            return Distribution(ERROR, (), 0, unknown)
        errors, table = self.errors.of(session, detector), found.table
        bars = [
            Bar(said, _inside(table.mask(errors.of([kind])), found.mask), query.but(model_error=kind))
            for kind, said in SAID_OF_ERRORS.items()
        ]
        unknown = Bar(
            NOT_JUDGED,
            found.count - _inside(table.mask(errors.frames), found.mask),
            query.but(model_error=NOT_KNOWN),
        )
        return Distribution(
            ERROR, tuple(bar for bar in bars if bar.count), 0, unknown if unknown.count else None
        )

    def _local_days(self, table: FrameTable) -> Ints:
        """(N,) days since 1970 in the project's zone, NO_DAY where the time is not known."""
        kept = self._days
        if kept is None or kept[0] is not table:
            kept = self._days = table, local_days(table.captured_at, self.project.settings.frames.timezone)
        return kept[1]

    def _by_task(self, session: Session, found: FrameSet, query: FrameQuery) -> Distribution:
        bars = [
            Bar(
                str(status),
                _inside(found.table.mask(task_frames(session, [status])), found.mask),
                query.but(task=status),
            )
            for status in TaskStatus
        ]
        none = ~found.table.mask(task_frames(session))
        bars.append(Bar("no task", _inside(none, found.mask), query.but(task=NO_TASK)))
        return Distribution(TASK, tuple(bar for bar in bars if bar.count))


SOURCES = {PEOPLE: "annotation", IMPORTED: "imported"}
SEVERAL: dict[str, Callable[[Session], list[int]]] = {
    TWICE: seconded_frames,
    CONTESTED: lambda session: contested_frames(session, FUSED),
    OUTDATED: outdated_frames,
}
"""Frames of answers of a kind, by the value of `label` that asks for them."""
NOBODY = Members(np.zeros(0, np.int64), np.zeros(0))
_kept: WeakKeyDictionary[Engine, FrameSets] = WeakKeyDictionary()
_keeping = threading.Lock()


def _in_lots(session: Session, table: FrameTable, numbers: Sequence[int]) -> Bools:
    """0 stands for labels that no accepted lot holds."""
    inside = table.mask(lot_frames(session, numbers))
    if 0 in numbers:
        accepted = list(lots_of_labels(session, (LotStatus.ACCEPTED,)))
        inside |= table.mask(labeled_frames(session)) & ~table.mask(np.array(accepted, np.int64))
    return inside


def frame_sets(parts: Parts) -> FrameSets:
    """Those of this project, the same for as long as its database is open."""
    with _keeping:
        found = _kept.get(parts.project.engine)
        if found is None:
            found = _kept[parts.project.engine] = FrameSets(parts)
        return found


def _moment_of(text: str, timezone: str) -> datetime:
    return datetime.fromtimestamp(seconds_of(text, timezone), UTC)


def _inside_of(table: FrameTable, mask: Bools) -> Callable[[Ints], Bools]:
    """Which of any ids are of rows of the mask."""

    def inside(ids: Ints) -> Bools:
        rows = table.locate(ids)
        met: Bools = (rows >= 0) & mask[rows]
        return met

    return inside


def _valued(table: FrameTable, frames: Ints, values: Reals) -> Reals:
    """(N,) the largest value of each frame, LAST where it has none."""
    found = np.full(len(table), LAST)
    rows = table.locate(frames)
    np.maximum.at(found, rows[rows >= 0], values[rows >= 0])
    return found


def _and(query: FrameQuery, name: str, value: str | int) -> FrameQuery:
    """With one more value of a key of which frames need all."""
    held = query.class_name if name == OF_CLASS else query.slice
    return query if value in held else query.but(**{name: [*held, value]})


def _spread(by: str, bars: list[Bar], most: int) -> Distribution:
    ordered = sorted(bars, key=lambda bar: (-bar.count, bar.name))
    return Distribution(by, tuple(ordered[:most]), max(len(ordered) - most, 0))


def _any_of(codes: NDArray[Any], wanted: Sequence[int]) -> Bools:
    found = np.zeros(len(codes), np.bool_)
    for code in wanted:
        found |= codes == code
    return found


def _inside(some: Bools, mask: Bools) -> int:
    return int(np.count_nonzero(some & mask))


def _unseen(session: Session, query: FrameQuery, known: Known) -> str:
    """Slices of which nothing is known, because what decides them now has seen no frame; "" for none."""
    asked = [slice_by_id(session, number) for number in (*query.slice, *query.not_slice)]
    names = [row.name for row in asked if known.of(row.kind) is None]
    return f"which frames show {', '.join(names)} is not known until frames are analyzed" if names else ""


def _of_area(project: Project, query: FrameQuery) -> str:
    if not query.area:
        return ""
    from loop.insights.lasso import note_of  # large, and few ask for it

    return note_of(project, query.area)


def _place(found: FrameSet, row: int) -> Place:
    value = LAST if found.value is None else float(found.value[row])
    return Place(int(found.table.seq[row]), None if value == LAST else value)
