"""What production shows and the training set lacks, as it was last compared: gaps, shares, two axes
crossed, and two dates compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from db.engine import read
from db.page_facts import PageFactRow, latest_page_fact, page_fact_by_id, page_fact_dates
from db.slices import SliceRow, slices
from db.tables import utcnow
from loop.base.arrays import Reals
from loop.base.errors import ConfigError
from loop.base.wording import counted
from loop.gaps.coverage_facts import COVERAGE, CROSSED
from loop.insights.frame_query import FrameQuery
from loop.project.project import Project

NEW, GREW, SHRANK = "new", "grew", "shrank"
MOST_CHANGES = 30
SHADES = 5
LACKING, IN_PRODUCTION, IN_TRAINING = SHOWN_AS = ("lacking", "production", "training")
"""By what the cells of a crossed table are shaded."""
FULL_SHADE = 0.25
"""Share of a side, or difference of both, from which on a cell has the darkest shade."""


@dataclass(frozen=True)
class Example:
    """A frame that shows a gap clearly."""

    seq: int
    content_hash: str
    file: str


@dataclass(frozen=True)
class GapView:
    """One gap.

    interval: 95 % of the production share, None where it is not known.
    labeled, wanted: training frames that show it, and how many should.
    then: its share of production at the earlier date, None where it was no gap.
    mark: new, grew or shrank since then, "" for none of these.
    retired: nobody looks for it any more, though the latest comparison still did.
    """

    slice_id: int
    name: str
    kind: str
    shown: bool
    production_share: float
    interval: tuple[float, float] | None
    training_share: float
    training_known: float
    loss_inside: float
    loss_elsewhere: float
    frames: int
    groups: int
    certainty: str
    labeled: int
    wanted: int
    also: tuple[str, ...]
    examples: tuple[Example, ...]
    retired: bool
    then: float | None = None
    mark: str = ""

    @property
    def missing(self) -> int:
        """Labels still wanted."""
        return max(self.wanted - self.labeled, 0)

    @property
    def query(self) -> FrameQuery:
        """Its production frames, the clearest first."""
        return FrameQuery(slice=(self.slice_id,), order="clearest")

    @property
    def compared(self) -> FrameQuery:
        """Those of them that were compared, which are `frames`."""
        return self.query.but(compared="production")

    @property
    def trained(self) -> FrameQuery:
        """The frames that are `labeled`."""
        return FrameQuery(counts_for=(self.slice_id,), role="pool")


@dataclass(frozen=True)
class ClosingView:
    """A gap that frames were chosen for. judged: labeled frames of it that no model trains on."""

    slice_id: int
    name: str
    labeled: int
    wanted: int
    judged: int

    @property
    def closed(self) -> bool:
        return self.labeled >= self.wanted

    @property
    def trained(self) -> FrameQuery:
        """The frames that are `labeled`."""
        return FrameQuery(counts_for=(self.slice_id,), role="pool")

    @property
    def judging(self) -> FrameQuery:
        """The frames that it is `judged` on."""
        return FrameQuery(counts_for=(self.slice_id,), role="evaluation")


@dataclass(frozen=True)
class OptionView:
    """One condition on both sides.

    production, training: frames that show it; the shares are of those of which it is known, None where
    it is known of none. here, there: the frames of either side as sets, None where no address names them.
    """

    slice_id: int | None
    name: str
    production: int
    training: int
    production_share: float | None
    training_share: float | None
    here: FrameQuery | None
    there: FrameQuery | None


@dataclass(frozen=True)
class FacetView:
    """A facet. known: frames of either side of which it is known, and here and there these as sets, None
    where no address names them. left_out: rarer options.
    """

    key: str
    name: str
    kind: str
    options: tuple[OptionView, ...]
    known_production: int
    known_training: int
    left_out: int
    here: FrameQuery | None
    there: FrameQuery | None


@dataclass(frozen=True)
class Coverage:
    """What was found when production was compared last.

    production, training: frames of either side. waiting: production frames that were not analyzed yet.
    retired: slices that nobody looks for any more, by id and name.
    dates: of every comparison that is kept, oldest first, with its id.
    """

    id: int
    made_at: datetime
    age_s: float
    production: int
    training: int
    waiting: int
    note: str
    compared: tuple[str, ...]
    gaps: tuple[GapView, ...]
    more_gaps: int
    closing: tuple[ClosingView, ...]
    facets: tuple[FacetView, ...]
    retired: tuple[tuple[int, str], ...]
    dates: tuple[tuple[int, datetime], ...]

    @property
    def age(self) -> str:
        """How long ago it was made, for people."""
        for seconds, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
            if self.age_s >= seconds:
                return f"{counted(int(self.age_s // seconds), unit)} ago"
        return "just now"

    @property
    def shown(self) -> tuple[GapView, ...]:
        return tuple(gap for gap in self.gaps if gap.shown)

    @property
    def suspected(self) -> tuple[GapView, ...]:
        return tuple(gap for gap in self.gaps if not gap.shown)


@dataclass(frozen=True)
class ChangeView:
    """A condition whose share changed. Shares of production and of the training set, then and now; None
    where it was not known.
    """

    slice_id: int | None
    facet: str
    name: str
    production_then: float | None
    production_now: float | None
    training_then: float | None
    training_now: float | None

    @property
    def size(self) -> float:
        """The larger change of both sides, 0..1."""
        pairs = ((self.production_then, self.production_now), (self.training_then, self.training_now))
        return max((abs(b - a) for a, b in pairs if a is not None and b is not None), default=0.0)


@dataclass(frozen=True)
class Compared:
    """Two dates. gone: gaps of the earlier one that are none any more.

    changes: the largest first.
    """

    now: Coverage
    then: Coverage
    gaps: tuple[GapView, ...]
    gone: tuple[GapView, ...]
    changes: tuple[ChangeView, ...]


@dataclass(frozen=True)
class Cell:
    """Frames of two conditions at once.

    unknown: one of both is not known of these.
    shade: 0..SHADES; below 0 where the training set has more.
    query, trained: the frames of production and of the training set, None where no address names them.
    """

    production: int
    training: int
    production_share: float | None
    training_share: float | None
    unknown: bool
    shade: int
    query: FrameQuery | None
    trained: FrameQuery | None


@dataclass(frozen=True)
class Crossed:
    """Two facets crossed.

    axes: key and name of those that can be chosen.
    rows: a name, its slice, and a cell for each column.
    """

    made_at: datetime
    axes: tuple[tuple[str, str], ...]
    row_key: str
    column_key: str
    row_name: str
    column_name: str
    shown_as: str
    columns: tuple[tuple[str, int | None], ...]
    rows: tuple[tuple[str, int | None, tuple[Cell, ...]], ...]
    production: int
    training: int


def coverage(project: Project, fact_id: int | None = None) -> Coverage | None:
    """The latest comparison, or that of this id; None where there is none. Marks tell what changed since
    the one of a day before.
    """
    with read(project.engine) as session:
        return _marked_coverage(session, _fact(session, fact_id))


def compared(project: Project, then: int | None = None, now: int | None = None) -> Compared | None:
    """Two comparisons; without `then` the oldest that is kept, without `now` the latest. None where
    there are no two. Raises ConfigError for an id that is none.
    """
    with read(project.engine) as session:
        dates = page_fact_dates(session, COVERAGE)
        if len(dates) < 2:
            return None
        later, earlier = _fact(session, now), _fact(session, dates[0][0] if then is None else then)
        if later is None or earlier is None:
            raise ConfigError("coverage: expected the id of a comparison that is kept; choose a date again")
        rows = {row.id: row for row in slices(session)}
        new, old = _coverage(later, rows, dates), _coverage(earlier, rows, dates)
    gaps = _marked(new.gaps, old.gaps)
    still = {gap.slice_id for gap in gaps}
    return Compared(
        new, old, gaps, tuple(gap for gap in old.gaps if gap.slice_id not in still), _changes(new, old)
    )


def crossed(project: Project, row: str = "", column: str = "", shown_as: str = "") -> Crossed | None:
    """Two facets by their keys. Where both are left out, the two in whose cells production and the
    training set differ most; where one is, the first other. None before the first comparison, and where
    it knew fewer than two. Raises ConfigError for a key that is none.
    """
    with read(project.engine) as session:
        fact = latest_page_fact(session, CROSSED)
        rows = {each.id: each for each in slices(session)}
        about = _fact(session, None if fact is None else int(fact.value["of"]))
    if fact is None or about is None or len(axes := fact.value["axes"]) < 2:
        return None
    keys = [axis["key"] for axis in axes]
    if not row and not column:
        row, column = (keys[place] for place in _most_apart(fact.value["tables"]))
    first = _place(keys, row, next(key for key in keys if key != column))
    second = _place(keys, column, next(key for key in keys if key != keys[first]))
    if shown_as not in ("", *SHOWN_AS):
        raise ConfigError(f"coverage: as: expected one of {', '.join(SHOWN_AS)}, got {shown_as[:80]!r}")
    if first == second:
        raise ConfigError("coverage: expected two different facets, got one twice; choose another column")
    sides = _sides(fact.value["tables"], first, second)
    return Crossed(
        made_at=fact.made_at,
        axes=tuple((axis["key"], axis["name"]) for axis in axes),
        row_key=keys[first],
        column_key=keys[second],
        row_name=axes[first]["name"],
        column_name=axes[second]["name"],
        shown_as=shown_as or LACKING,
        columns=tuple(_labels(axes[second], rows)),
        rows=tuple(_rows(axes[first], axes[second], sides, rows, shown_as or LACKING)),
        production=int(about.value["production"]),
        training=int(about.value["training"]),
    )


def _fact(session: Session, fact_id: int | None) -> PageFactRow | None:
    if fact_id is None:
        return latest_page_fact(session, COVERAGE)
    found = page_fact_by_id(session, fact_id)
    return found if found is not None and found.kind == COVERAGE else None


def _marked_coverage(session: Session, fact: PageFactRow | None) -> Coverage | None:
    if fact is None:
        return None
    dates = page_fact_dates(session, COVERAGE)
    rows = {row.id: row for row in slices(session)}
    found = _coverage(fact, rows, dates)
    day = fact.made_at.date()
    before = [number for number, made in dates if made.date() < day]
    earlier = _fact(session, before[-1]) if before else None
    if earlier is None:
        return found
    gaps = _marked(found.gaps, _coverage(earlier, rows, dates).gaps)
    return Coverage(**vars(found) | {"gaps": gaps})


def _coverage(
    fact: PageFactRow, rows: Mapping[int, SliceRow], dates: Sequence[tuple[int, datetime]]
) -> Coverage:
    value = fact.value
    retired = [(row.id, row.name) for row in rows.values() if row.retired_at is not None]
    return Coverage(
        id=fact.id,
        made_at=fact.made_at,
        age_s=(utcnow() - fact.made_at).total_seconds(),
        production=int(value["production"]),
        training=int(value["training"]),
        waiting=int(value["waiting"]),
        note=str(value["note"]),
        compared=tuple(value["compared"]),
        gaps=tuple(_gap(gap, rows) for gap in value["gaps"]),
        more_gaps=int(value["more_gaps"]),
        closing=tuple(_closing(one, rows) for one in value["closing"]),
        facets=tuple(_facet(facet, rows) for facet in value["facets"]),
        retired=tuple(retired),
        dates=tuple(dates),
    )


def _closing(one: Mapping[str, Any], rows: Mapping[int, SliceRow]) -> ClosingView:
    return ClosingView(**{**one, "name": _name(rows, one["slice_id"], one["name"])})


def _gap(gap: Mapping[str, Any], rows: Mapping[int, SliceRow]) -> GapView:
    number = int(gap["slice_id"])
    row = rows.get(number)
    return GapView(
        slice_id=number,
        name=_name(rows, number, gap["name"]),
        kind=gap["kind"],
        shown=gap["shown"],
        production_share=gap["production_share"],
        interval=tuple(gap["interval"]) if gap["interval"] else None,
        training_share=gap["training_share"],
        training_known=gap["training_known"],
        loss_inside=gap["loss_inside"],
        loss_elsewhere=gap["loss_elsewhere"],
        frames=gap["frames"],
        groups=gap["groups"],
        certainty=gap["certainty"],
        labeled=gap["labeled"],
        wanted=gap["wanted"],
        also=tuple(gap["also"]),
        examples=tuple(Example(**one) for one in gap["examples"]),
        retired=row is not None and row.retired_at is not None,
    )


def _name(rows: Mapping[int, SliceRow], number: int | None, otherwise: str) -> str:
    """What a user calls it now, or what the comparison called it."""
    row = None if number is None else rows.get(number)
    return row.given_name if row is not None and row.given_name else otherwise


def _facet(facet: Mapping[str, Any], rows: Mapping[int, SliceRow]) -> FacetView:
    here, there = (int(facet["known"][side]) for side in ("production", "training"))
    number = facet.get("slice_id")
    options = tuple(
        OptionView(
            option["slice_id"],
            _name(rows, option["slice_id"], option["name"]),
            option["production"],
            option["training"],
            option["production"] / here if here else None,
            option["training"] / there if there else None,
            *_both_sides((number, option["slice_id"])),
        )
        for option in facet["options"]
    )
    return FacetView(
        facet["key"],
        facet["name"],
        facet["kind"],
        options,
        here,
        there,
        int(facet.get("left_out", 0)),
        *_both_sides((number, "known")),
    )


def _both_sides(*answers: tuple[int | None, int | str | None]) -> tuple[FrameQuery | None, FrameQuery | None]:
    """The frames of production and of the training set that got all of these answers, each of a facet;
    None where one of them has no number.
    """
    if any(facet is None or answer is None for facet, answer in answers):
        return None, None
    asked = "_".join(f"{facet}.{answer}" for facet, answer in answers)
    return FrameQuery(facet=(f"p{asked}",)), FrameQuery(facet=(f"t{asked}",))


def _marked(now: Iterable[GapView], then: Iterable[GapView]) -> tuple[GapView, ...]:
    before = {gap.slice_id: gap for gap in then}
    return tuple(
        GapView(**vars(gap) | {"then": was.production_share if was else None, "mark": _mark(gap, was)})
        for gap in now
        for was in (before.get(gap.slice_id),)
    )


def _mark(gap: GapView, was: GapView | None) -> str:
    """It changed where what it was before lies outside of what it may be now."""
    if was is None:
        return NEW
    if gap.interval is None or gap.interval[0] <= was.production_share <= gap.interval[1]:
        return ""
    return GREW if gap.production_share > was.production_share else SHRANK


def _changes(now: Coverage, then: Coverage) -> tuple[ChangeView, ...]:
    before = {(facet.key, option.slice_id): option for facet in then.facets for option in facet.options}
    found = []
    for facet in now.facets:
        for option in facet.options:
            was = before.get((facet.key, option.slice_id))
            found.append(
                ChangeView(
                    option.slice_id,
                    facet.name,
                    option.name,
                    was.production_share if was else None,
                    option.production_share,
                    was.training_share if was else None,
                    option.training_share,
                )
            )
    changed = [one for one in found if one.size > 0]
    return tuple(sorted(changed, key=lambda one: -one.size)[:MOST_CHANGES])


def _place(keys: Sequence[str], wanted: str, otherwise: str) -> int:
    if wanted and wanted not in keys:
        raise ConfigError(
            f"coverage: expected one of the facets {', '.join(keys)}, got {wanted[:80]!r}; choose one again"
        )
    return keys.index(wanted or otherwise)


def _most_apart(tables: Mapping[str, Any]) -> tuple[int, int]:
    """The two axes whose cells differ most beyond what their rows and columns do by themselves, counted
    by how many frames both are known of; of equals, the first. One that follows from the other, as a
    site from its camera, differs by no more.
    """
    beyond = {name: _beyond(table["production"], table["training"]) for name, table in tables.items()}
    first, _, second = max(sorted(beyond), key=lambda name: round(beyond[name], 9)).partition(" ")
    return int(first), int(second)


def _beyond(production: Sequence[Sequence[int]], training: Sequence[Sequence[int]]) -> float:
    here, there = _known(production), _known(training)
    rows, columns = (_apart(here.sum(axis=side), there.sum(axis=side)) for side in (1, 0))
    share = min(here.sum() / max(np.sum(production), 1), there.sum() / max(np.sum(training), 1))
    return float(share) * (_apart(here, there) - max(rows, columns))


def _known(table: Sequence[Sequence[int]]) -> Reals:
    """Counts of the frames of which both are known."""
    return np.asarray(table, dtype=np.float64)[:-1, :-1]


def _apart(here: Reals, there: Reals) -> float:
    """How far two spreads differ, 0..1: half the sum of differences of shares (total variation); 0 where
    one of them is empty.
    """
    if not here.sum() or not there.sum():
        return 0.0
    return float(np.abs(here / here.sum() - there / there.sum()).sum() / 2)


def _sides(tables: Mapping[str, Any], first: int, second: int) -> list[list[list[int]]]:
    """Counts of production and of the training set, by row and column."""
    low, high = sorted((first, second))
    found = [tables[f"{low} {high}"][side] for side in ("production", "training")]
    if first < second:
        return found
    return [[list(column) for column in zip(*table, strict=True)] for table in found]


def _labels(axis: Mapping[str, Any], rows: Mapping[int, SliceRow]) -> list[tuple[str, int | None]]:
    named = [
        (_name(rows, option["slice_id"], option["name"]), option["slice_id"]) for option in axis["options"]
    ]
    rest = "others" if axis.get("left_out") else "none of these"
    return [*named, *([(rest, None)] if axis["none"] else []), ("not known", None)]


def _rows(
    row_axis: Mapping[str, Any],
    column_axis: Mapping[str, Any],
    sides: Sequence[Sequence[Sequence[int]]],
    rows: Mapping[int, SliceRow],
    shown_as: str,
) -> list[tuple[str, int | None, tuple[Cell, ...]]]:
    down = _labels(row_axis, rows)
    totals = [sum(sum(line[:-1]) for line in table[:-1]) for table in sides]
    found = []
    by_row, by_column = (dict(enumerate(_answers(axis))) for axis in (row_axis, column_axis))
    for place, (name, own) in zip(_kept(row_axis), down, strict=True):
        cells = []
        for column in _kept(column_axis):
            here, there = (int(table[place][column]) for table in sides)
            unknown = place == len(sides[0]) - 1 or column == len(sides[0][0]) - 1
            of_production, of_training = (
                None if unknown or not total else n / total
                for n, total in zip((here, there), totals, strict=True)
            )
            shade = _shade(of_production, of_training, shown_as)
            sets = _both_sides(
                (row_axis.get("slice_id"), by_row[place]), (column_axis.get("slice_id"), by_column[column])
            )
            cells.append(Cell(here, there, of_production, of_training, unknown, shade, *sets))
        found.append((name, own, tuple(cells)))
    return found


def _answers(axis: Mapping[str, Any]) -> list[int | str | None]:
    """What stands for each row of a table in an address."""
    return [*(option["slice_id"] for option in axis["options"]), "none", "unknown"]


def _kept(axis: Mapping[str, Any]) -> list[int]:
    """Rows of a table that are shown: none of the options only where a frame shows none."""
    size = len(axis["options"])
    return [*range(size), *([size] if axis["none"] else []), size + 1]


def _shade(here: float | None, there: float | None, shown_as: str) -> int:
    value = {
        LACKING: (here or 0.0) - (there or 0.0) if here is not None and there is not None else 0.0,
        IN_PRODUCTION: here or 0.0,
        IN_TRAINING: -(there or 0.0),
    }[shown_as]
    return round(max(-1.0, min(1.0, value / FULL_SHADE)) * SHADES)
