"""The slices of a project with their counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from db.engine import read
from db.slices import SliceRow, SliceTotal, slice_by_id, slice_totals, slices
from db.states import SliceKind
from loop.base.moments import DAY, shown
from loop.base.wording import counted
from loop.project.project import Project

NOBODY = SliceTotal(0, 0, 0)


@dataclass(frozen=True)
class SliceView:
    """One slice for people and programs.

    known, inside: production frames, in camera-days (groups) that show it.
    share: of the frames of which it is known, None where it is known of none.
    """

    id: int
    key: str
    kind: SliceKind
    name: str
    known: int
    inside: int
    groups: int
    share: float | None
    created_at: datetime
    retired_at: datetime | None


def all_slices(project: Project, every: bool = False) -> list[SliceView]:
    """By kind, the largest first. every: those that are retired, or that no frame shows, too."""
    with read(project.engine) as session:
        rows, totals = slices(session), slice_totals(session)
    views = [_view(row, totals.get(row.id, NOBODY)) for row in rows if row.kind is not SliceKind.FACET]
    kinds = list(SliceKind)
    kept = [view for view in views if every or (view.inside and view.retired_at is None)]
    return sorted(kept, key=lambda view: (kinds.index(view.kind), -view.inside, view.id))


def slice_options(project: Project) -> list[tuple[int, str]]:
    """Number and name of every slice that is looked for, but the classes, by kind and name."""
    with read(project.engine) as session:
        rows = [row for row in slices(session) if row.retired_at is None]
    kinds = list(SliceKind)
    shown = [row for row in rows if row.kind not in (SliceKind.FACET, SliceKind.CLASS)]
    return [(row.id, row.name) for row in sorted(shown, key=lambda row: (kinds.index(row.kind), row.name))]


def lines(views: Sequence[SliceView], timezone: str) -> list[str]:
    """One line each, days in this zone; what to do where there is none."""
    if not views:
        return ["no slice is known yet; `fieldloop analyze` and `fieldloop gaps` find them"]
    return [_line(view, timezone) for view in views]


def one_slice(project: Project, slice_id: int) -> SliceView:
    """Raises StateError when there is none of that id."""
    with read(project.engine) as session:
        return _view(slice_by_id(session, slice_id), slice_totals(session).get(slice_id, NOBODY))


def _view(row: SliceRow, total: SliceTotal) -> SliceView:
    return SliceView(
        row.id,
        row.key,
        row.kind,
        row.name,
        total.known,
        total.inside,
        total.groups,
        total.inside / total.known if total.known else None,
        row.created_at,
        row.retired_at,
    )


def _line(view: SliceView, timezone: str) -> str:
    share = "" if view.share is None else f"{view.share:>7.1%}"
    days = counted(view.groups, "camera-day")
    retired = f"  retired {shown(view.retired_at, timezone, DAY)}" if view.retired_at else ""
    frames = counted(view.inside, "frame")
    return f"{view.id:>4}  {view.kind:<10} {frames:>15} {share:>7}  {days:<18} {view.name}{retired}"
