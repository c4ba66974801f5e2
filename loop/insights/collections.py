"""The collections of a project: what they are, who is in them, how they grew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy.orm import Session

from db.engine import read
from db.errors import StateError
from db.frames import FrameRow, frame_counts, frames
from db.gathered import inside_by_day, labeled_inside, newest_members, totals_of
from db.slices import SliceRow, SliceTotal, slice_by_id, slices
from db.states import SliceKind
from loop.analysis.producers import current_measure
from loop.base.errors import ConfigError
from loop.base.moments import DAY, shown
from loop.base.wording import counted
from loop.gaps.collections import COLLECTION, EXAMPLES, defined, one_defined
from loop.math.coverage.facets import slice_key
from loop.project.project import Project
from loop.selection.collected import given_quotas
from loop.settings.collections import Definition, Sentence, in_words, notes, quota_in_words

NOBODY = SliceTotal(0, 0, 0)
REFUSED = (ConfigError, StateError)
"""What tells whoever asks for something that cannot be."""
LOOKED_AT = 60
"""Newest frames among which the clearest are shown."""
SMALL = 20_000
"""Frames of a project that are gathered in a second or two."""


@dataclass(frozen=True)
class CollectionView:
    """One collection for people and programs.

    built_in: it came with fieldloop.
    how: rules, sentence or examples; words: each rule for people. note: what was measured of it on
    other frames, "" where nothing was.
    inside, known: production frames in it, and of which that is known; share: the one of the other,
    None while nothing is known.
    groups: camera-days that show it.
    growth: frames in it by UTC day of their camera-days, those with a day.
    labeled: production frames in it that have a label.
    examples, excluded: frames that were picked by hand.
    found: share of the examples that the others alone would have found, None where nothing tested it.
    judged: rounds judge it. tab: it is a tab in Label Studio.
    quota: the share (below 1) or number of frames of each batch that are of it, None for none.
    quota_by_settings: `select.quotas` says so, else people do.
    """

    id: int
    key: str
    name: str
    built_in: bool
    how: str
    words: tuple[str, ...]
    note: str
    inside: int
    known: int
    share: float | None
    groups: int
    growth: list[tuple[date, int]]
    labeled: int
    examples: tuple[int, ...]
    excluded: tuple[int, ...]
    found: float | None
    judged: bool
    tab: bool
    quota: float | None
    quota_by_settings: bool
    created_at: datetime
    retired_at: datetime | None

    @property
    def labeled_share(self) -> float | None:
        """Of the frames in it, None where there are none."""
        return self.labeled / self.inside if self.inside else None


def all_collections(project: Project, every: bool = False) -> list[CollectionView]:
    """The largest first. every: those that are retired too."""
    with read(project.engine) as session:
        rows = slices(session, [SliceKind.COLLECTION])
        kept = [row for row in rows if every or row.retired_at is None]
        views = _views(session, kept, project.settings.select.quotas)
    return sorted(views, key=lambda view: (view.retired_at is not None, -view.inside, view.id))


def one_collection(project: Project, slice_id: int) -> CollectionView:
    """Raises StateError when that is no collection."""
    with read(project.engine) as session:
        one_defined(session, slice_id)
        return _views(session, [slice_by_id(session, slice_id)], project.settings.select.quotas)[0]


@dataclass(frozen=True)
class Example:
    """A frame for a page. line: what stands below its picture."""

    seq: int
    content_hash: str
    file: str
    line: str = ""


def clearest_of_newest(project: Project, slice_id: int, most: int) -> list[Example]:
    """Of the newest frames in a collection the clearest, of different camera-days as far as there are
    any.
    """
    with read(project.engine) as session:
        measure = current_measure(session)
        newest = [] if measure is None else newest_members(session, measure, slice_id, LOOKED_AT)
        rows = {row.seq: row for row in frames(session, seqs=[seq for seq, _ in newest])}
    ordered = [rows[seq] for seq, _ in sorted(newest, key=lambda each: -each[1])]
    first = {row.group_id: row for row in reversed(ordered)}
    apart = sorted(first.values(), key=ordered.index)
    return [_example(row) for row in [*apart, *(row for row in ordered if row not in apart)][:most]]


def examples_of(project: Project, seqs: Sequence[int], most: int) -> list[Example]:
    """The first of these frames, by ascending number."""
    with read(project.engine) as session:
        return [_example(row) for row in frames(session, seqs=sorted(seqs)[:most])]


def _example(row: FrameRow) -> Example:
    return Example(row.seq, row.content_hash, row.source_key, row.camera)


def weekly(growth: Sequence[tuple[date, int]]) -> list[tuple[date, int]]:
    """Frames by week, named by its Monday; weeks without any are left out."""
    found: dict[date, int] = {}
    for day, count in growth:
        monday = day - timedelta(days=day.weekday())
        found[monday] = found.get(monday, 0) + count
    return list(found.items())


def sparkline(growth: Sequence[tuple[date, int]], width: int = 120, height: int = 28) -> str:
    """Points of a line of all frames so far, day by day, in a drawing of that size; "" for fewer than
    two days.
    """
    if len(growth) < 2:
        return ""
    first, days = growth[0][0], max((growth[-1][0] - growth[0][0]).days, 1)
    total, so_far, points = sum(count for _, count in growth), 0, []
    for day, count in growth:
        so_far += count
        across = (day - first).days / days * (width - 2) + 1
        points.append(f"{across:.1f},{height - 1 - so_far / max(total, 1) * (height - 2):.1f}")
    return " ".join(points)


def is_small(project: Project) -> bool:
    """Whether frames can be gathered while somebody waits for the page."""
    with read(project.engine) as session:
        return frame_counts(session)["total"] <= SMALL


def lines(views: Sequence[CollectionView], timezone: str) -> list[str]:
    """One line each; what to do where there is none."""
    if not views:
        return ["no collection is known yet; `fieldloop analyze` and `fieldloop gaps` make the built-in ones"]
    return [_line(view, timezone) for view in views]


def details(view: CollectionView, timezone: str) -> list[str]:
    """Everything about one."""
    told = [
        _line(view, timezone),
        *(f"    {word}" for word in view.words),
        *([f"    {view.note}"] if view.note else []),
        f"    judged by rounds: {'yes' if view.judged else 'no'}; tab in Label Studio:"
        f" {'yes' if view.tab else 'no'}",
    ]
    if view.quota is not None:
        by = "by select.quotas" if view.quota_by_settings else "set by people"
        told.append(f"    quota: {quota_in_words(view.quota)} of each batch, {by}")
    if view.examples:
        tested = "not tested" if view.found is None else f"{view.found:.0%} of them found by the others alone"
        told.append(f"    {counted(len(view.examples), 'example')}, {tested}")
    if view.excluded:
        told.append(f"    {counted(len(view.excluded), 'frame')} excluded by hand")
    return told


def _views(session: Session, rows: Sequence[SliceRow], settings: Mapping[str, float]) -> list[CollectionView]:
    quotas, ids = given_quotas(rows, settings), [row.id for row in rows]
    totals = totals_of(session, ids)
    definitions = {one.key: one.definition for one in defined(session)}
    measure = current_measure(session)
    growth = inside_by_day(session, ids)
    labeled = {} if measure is None else labeled_inside(session, measure, ids)
    noted = {slice_key(COLLECTION, name): note for name, note in notes().items()}
    views = []
    for row in rows:
        definition = definitions[row.key]
        total = totals.get(row.id, NOBODY)
        learned = definition.learned.get(EXAMPLES) or {}
        views.append(
            CollectionView(
                id=row.id,
                key=row.key,
                name=row.name,
                built_in=not row.key.startswith(f"{COLLECTION}/own-"),
                how=how(definition),
                words=tuple(in_words(rule) for rule in definition.rules),
                note=noted.get(row.key, ""),
                inside=total.inside,
                known=total.known,
                share=total.inside / total.known if total.known else None,
                groups=total.groups,
                growth=growth.get(row.id, []),
                labeled=labeled.get(row.id, 0),
                examples=definition.examples,
                excluded=definition.excluded,
                found=learned.get("found"),
                judged=definition.judged,
                tab=definition.tab,
                quota=quotas[row.id].value if row.id in quotas else None,
                quota_by_settings=row.id in quotas and quotas[row.id].by_settings,
                created_at=row.created_at,
                retired_at=row.retired_at,
            )
        )
    return views


def how(definition: Definition) -> str:
    """How it gathers: sentence, rules or examples."""
    if any(isinstance(rule, Sentence) for rule in definition.rules):
        return "sentence"
    return "rules" if definition.rules else "examples"


def _line(view: CollectionView, timezone: str) -> str:
    share = "" if view.share is None else f"{view.share:.1%}"
    labeled = "" if view.labeled_share is None else f"{view.labeled_share:.0%} labeled"
    retired = f"  retired {shown(view.retired_at, timezone, DAY)}" if view.retired_at else ""
    frames = counted(view.inside, "frame")
    return f"{view.id:>4}  {view.how:<9} {frames:>15} {share:>7}  {labeled:<13} {view.name}{retired}"
