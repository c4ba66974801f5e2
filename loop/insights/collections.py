"""The collections of a project: what they are, who is in them, how they grew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.orm import Session

from db.engine import read
from db.gathered import inside_by_day, labeled_inside, totals_of
from db.slices import SliceRow, SliceTotal, slice_by_id, slices
from db.states import SliceKind
from loop.analysis.producers import current_measure
from loop.base.moments import DAY, shown
from loop.base.wording import counted
from loop.gaps.collections import COLLECTION, EXAMPLES, one_defined
from loop.project.project import Project
from loop.settings.collections import Definition, Sentence, in_words

NOBODY = SliceTotal(0, 0, 0)


@dataclass(frozen=True)
class CollectionView:
    """One collection for people and programs.

    built_in: it came with fieldloop.
    how: rules, sentence or examples; words: each rule for people.
    inside, known: production frames in it, and of which that is known; share: the one of the other,
    None while nothing is known.
    groups: camera-days that show it.
    growth: frames in it by UTC day of their camera-days, those with a day.
    labeled: frames in it that have a label.
    examples, excluded: frames that were picked by hand.
    found: share of the examples that the others alone would have found, None where nothing tested it.
    judged: rounds judge it. tab: it is a tab in Label Studio.
    """

    id: int
    key: str
    name: str
    built_in: bool
    how: str
    words: tuple[str, ...]
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
        views = _views(session, kept)
    return sorted(views, key=lambda view: (view.retired_at is not None, -view.inside, view.id))


def one_collection(project: Project, slice_id: int) -> CollectionView:
    """Raises StateError when that is no collection."""
    with read(project.engine) as session:
        one_defined(session, slice_id)
        return _views(session, [slice_by_id(session, slice_id)])[0]


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
        f"    judged by rounds: {'yes' if view.judged else 'no'}; tab in Label Studio:"
        f" {'yes' if view.tab else 'no'}",
    ]
    if view.examples:
        tested = "not tested" if view.found is None else f"{view.found:.0%} of them found by the others alone"
        told.append(f"    {counted(len(view.examples), 'example')}, {tested}")
    if view.excluded:
        told.append(f"    {counted(len(view.excluded), 'frame')} excluded by hand")
    return told


def _views(session: Session, rows: Sequence[SliceRow]) -> list[CollectionView]:
    ids = [row.id for row in rows]
    totals = totals_of(session, ids)
    measure = current_measure(session)
    growth = inside_by_day(session, ids)
    labeled = {} if measure is None else labeled_inside(session, measure, ids)
    views = []
    for row in rows:
        definition = one_defined(session, row.id).definition
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
