"""Whether classes are tied to places, as pages and the command read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.ports import Progress
from loop.gaps import counterfactual, coverage_view
from loop.gaps.bias import find, keep, kept
from loop.gaps.bias_report import (
    REPORTS,
    BiasReport,
    Level,
    PlaceRecall,
    Table,
    Tie,
    evidence,
    headline,
    lines,
    recall_sentence,
    sentence,
)
from loop.gaps.counterfactual import Counterfactual
from loop.insights.frame_query import FrameQuery
from loop.project.project import Project
from loop.project.wiring import Parts

__all__ = ["BiasView", "as_json", "bias_view", "lines", "survey"]

MOST_FINDINGS, MOST_LEVELS, MOST_CLASSES = 8, 12, 12
"""On the page; the rest stands in `fieldloop bias --json`."""
TAUGHT = {"labeled": "yes", "role": "pool"}
SEEN = {"origin": "production"}
OPEN = {"origin": "production", "role": "pool", "labeled": "no"}
SHADES = 5


@dataclass(frozen=True)
class Counted:
    """Frames that show a class, of so many. url: of those that do, "" where no address names them."""

    showing: int
    frames: int
    url: str

    @property
    def share(self) -> float | None:
        return self.showing / self.frames if self.frames else None


@dataclass(frozen=True)
class PlaceBar:
    """One place of a finding: what is labeled there, and what production shows."""

    name: str
    labeled: Counted
    production: Counted


@dataclass(frozen=True)
class Wanted:
    """What to collect. url: of the unlabeled frames that seem to be such."""

    text: str
    wanted: int
    available: int
    url: str


@dataclass(frozen=True)
class Finding:
    """left_out: places that are not drawn. full: the share at which a bar is full."""

    tie: Tie
    headline: str
    evidence: str
    places: tuple[PlaceBar, ...]
    left_out: int
    full: float
    collect: tuple[Wanted, ...]


@dataclass(frozen=True)
class Cell:
    """shade: 0 to 5, by share of the class among the frames of the place."""

    counted: Counted
    shade: int


@dataclass(frozen=True)
class Heat:
    """A table of classes by places. rows: name, address of all its frames, cells by class."""

    kind: str
    name: str
    scope: str
    classes: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Cell, ...]], ...]
    left_out: int


@dataclass(frozen=True)
class BiasView:
    """What the page shows. ways: (value, name) of the ways of telling places apart."""

    made_at: datetime
    report: BiasReport
    findings: tuple[Finding, ...]
    more: int
    ways: tuple[tuple[str, str], ...]
    way: str
    heat: Heat | None
    recalls: tuple[PlaceRecall, ...]
    worse: tuple[str, ...]
    tried: Counterfactual | None
    tried_at: datetime | None


def survey(parts: Parts, progress: Progress) -> BiasReport:
    """Looks at all that the current models have analyzed, and stores what it finds for pages. Raises
    ProjectError when there is nothing to compare yet.
    """
    view = coverage_view.build(parts, progress)
    select = parts.project.settings.select
    progress(0, 0, "classes and places")
    report = find(parts.project, view, max(round(select.budget * select.bias_share), 1)).report
    keep(parts.project, report)
    return report


def as_json(report: BiasReport) -> dict[str, Any]:
    """For programs: all that was tested, and each finding in words."""
    told: dict[str, Any] = REPORTS.dump_python(report, mode="json")
    return told | {"findings": [{"id": tie.id, "text": sentence(tie)} for tie in report.shown]}


def bias_view(project: Project, way: str = "", scope: str = "") -> BiasView | None:
    """The newest report as the page shows it, None before the first.

    way: of telling places apart, as in `ways`; the first where it is none of them. scope: labeled or
    production.
    """
    found = kept(project)
    if found is None:
        return None
    made_at, report = found
    ways = tuple((f"{table.kind}|{table.name}", table.name) for table in report.tables if _told(table) > 1)
    chosen = way if way in dict(ways) else next((value for value, _ in ways), "")
    table = next((one for one in report.tables if f"{one.kind}|{one.name}" == chosen), None)
    tried = counterfactual.kept(project)
    shown = report.shown
    return BiasView(
        made_at,
        report,
        tuple(_finding(report, tie) for tie in shown[:MOST_FINDINGS]),
        max(len(shown) - MOST_FINDINGS, 0),
        ways,
        chosen,
        None if table is None else _heat(report, table, scope == "production"),
        report.recalls[:MOST_LEVELS],
        tuple(recall_sentence(row) for row in report.recalls if row.shown),
        None if tried is None else tried[1],
        None if tried is None else tried[0],
    )


def _told(table: Table) -> int:
    """How many of its places have frames."""
    return sum(bool(a or b) for a, b in zip(table.labeled, table.production, strict=True))


def _finding(report: BiasReport, tie: Tie) -> Finding:
    table = next(one for one in report.tables if (one.kind, one.name) == (tie.kind, tie.factor))
    column = report.classes.index(tie.class_name)
    bars = [
        PlaceBar(
            level.name,
            _counted(level, tie.class_name, table.labeled_with[row][column], table.labeled[row], TAUGHT),
            _counted(level, tie.class_name, table.production_with[row][column], table.production[row], SEEN),
        )
        for row, level in enumerate(table.levels)
        if table.labeled[row] or table.production[row]
    ]
    bars.sort(key=lambda bar: (bar.name != tie.place, -(bar.labeled.share or 0), -bar.production.frames))
    shares = [one.share or 0 for bar in bars for one in (bar.labeled, bar.production)]
    collect = tuple(
        Wanted(
            one.text,
            one.wanted,
            one.available,
            _url(one.query, OPEN, **{"class" if one.with_class else "not_class": tie.class_name}),
        )
        for one in tie.collect[:MOST_LEVELS]
    )
    kept_bars = tuple(bars[:MOST_LEVELS])
    return Finding(
        tie,
        headline(tie),
        evidence(tie),
        kept_bars,
        len(bars) - len(kept_bars),
        max(shares, default=1),
        collect,
    )


def _counted(level: Level, class_name: str, showing: int, frames: int, within: dict[str, str]) -> Counted:
    return Counted(showing, frames, _url(level.query, within, **{"class": class_name}))


def _url(query: str, within: dict[str, str], **more: str) -> str:
    """Of the page of a set of frames; "" where no address names the place."""
    return FrameQuery.parse(query).but(**within, **more).url() if query else ""


def _heat(report: BiasReport, table: Table, production: bool) -> Heat:
    sizes, hits = (
        (table.production, table.production_with) if production else (table.labeled, table.labeled_with)
    )
    within = SEEN if production else TAUGHT
    common = sorted(range(len(report.classes)), key=lambda one: -sum(row[one] for row in hits))[:MOST_CLASSES]
    columns = sorted(common)
    largest = sorted(range(len(sizes)), key=lambda row: -sizes[row])
    there = [row for row in largest if sizes[row]]
    rows = tuple(
        (
            table.levels[row].name,
            _url(table.levels[row].query, within),
            tuple(
                _cell(_counted(table.levels[row], report.classes[one], hits[row][one], sizes[row], within))
                for one in columns
            ),
        )
        for row in there[:MOST_LEVELS]
    )
    classes = tuple(report.classes[one] for one in columns)
    scope = "production" if production else "labeled"
    return Heat(table.kind, table.name, scope, classes, rows, len(there) - len(rows))


def _cell(counted: Counted) -> Cell:
    share = counted.share or 0
    return Cell(counted, min(int(share * 2 * SHADES) + 1, SHADES) if share else 0)
