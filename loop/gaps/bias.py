"""Is a class tied to a place? Gathered from the database: what labels and production show, how the
detector fares from place to place, and what to collect.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from db.engine import read, write
from db.page_facts import add_page_fact, drop_page_facts, latest_page_fact, page_fact_dates
from db.tasks import engaged_frames
from loop.base.arrays import Bools, Ints, Reals
from loop.gaps.bias_choices import choices
from loop.gaps.bias_known import gather, right_of
from loop.gaps.bias_places import factors as told_by
from loop.gaps.bias_places import table_of
from loop.gaps.bias_recall import recalls
from loop.gaps.bias_report import REPORTS, BiasReport, Collect, Scope, Tie, at_place
from loop.gaps.bias_ties import ties_of
from loop.gaps.coverage_view import CoverageView
from loop.math.bias.association import Factor
from loop.math.bias.evening import evening
from loop.project.project import Project

KIND = "bias/1"
"""The number grows whenever what is kept would be read otherwise: what was kept before counts no more."""
KEPT = 30


@dataclass(frozen=True, eq=False)
class Bias:
    """The report, and what selection needs of it: rows of the comparison's production frames.

    suspected: (N, C) whether each seems to show each class, by label or detection.
    right: by class, how many of the labeled frames that the detector suspects to show it do, and of
    the others do not.
    factors: over production rows, by kind and name.
    """

    report: BiasReport
    suspected: Bools
    right: Mapping[str, tuple[float, float]]
    factors: Mapping[tuple[str, str], Factor]

    def rows(self, tie: Tie, level: int, with_class: bool) -> Bools:
        """(N,) production frames of one level of the tie's factor that seem to show its class, or not
        to.
        """
        shows = self.suspected[:, self.report.classes.index(tie.class_name)]
        here: Bools = self.factors[tie.kind, tie.factor].code == level
        return here & (shows if with_class else ~shows)

    def available(self, tie: Tie, open_rows: Bools) -> Ints:
        """(K, 2) open frames of each level that seem to show the class, and that do not."""
        levels = range(len(self.factors[tie.kind, tie.factor].levels))
        return np.array(
            [
                [int((self.rows(tie, one, kind) & open_rows).sum()) for kind in (True, False)]
                for one in levels
            ],
            dtype=np.int64,
        )


def find(project: Project, view: CoverageView, most: int) -> Bias:
    """Every class against every way of telling places apart.

    most: frames that the next batch could spend on one tie.
    """
    known = gather(project, view)
    scopes: dict[Scope, Ints] = {
        "labeled": np.flatnonzero(known.taught),
        "production": np.arange(len(view.production)),
    }
    factors = told_by(project, known, view)
    ties, lacking = ties_of(known, factors, scopes, view.classes, project.settings.seed)
    tables = tuple(table_of(known, factor, scopes, view) for factor in factors)
    with read(project.engine) as session:
        chosen, engaged = choices(session), engaged_frames(session)
    open_rows = view.in_pool & ~np.isin(view.production.seq, list(engaged))
    production = {
        (each.kind, each.name): replace(each, code=each.code[: len(view.production)]) for each in factors
    }
    by_place, untold = recalls(project, view)
    report = BiasReport(
        classes=view.classes,
        labeled_frames=len(scopes["labeled"]),
        by_label=int(known.labeled[: len(view.production)].sum()),
        by_detection=int((~known.labeled[: len(view.production)]).sum()),
        limits=known.limits,
        tables=tables,
        ties=ties,
        recalls=by_place,
        lacking=(*lacking, *untold),
    )
    bias = Bias(report, known.presence[: len(view.production)], right_of(known, view), production)
    decided = [_decided(tie, chosen) for tie in ties]
    final = [_collecting(bias, tie, open_rows, most) if tie.targeted or tie.told else tie for tie in decided]
    return replace(bias, report=replace(report, ties=tuple(final)))


def known_counts(report: BiasReport, tie: Tie, most: int) -> tuple[Ints, Ints]:
    """(K,) frames of each level that show the class, and all of them, among those that are labeled;
    where these tell nothing of the places yet, as production shows it, in `most` frames.
    """
    table = next(each for each in report.tables if (each.kind, each.name) == (tie.kind, tie.factor))
    index = report.classes.index(tie.class_name)
    totals, hits = np.array(table.labeled), np.array([row[index] for row in table.labeled_with])
    if np.count_nonzero(totals) >= 2:
        return hits, totals
    totals, hits = np.array(table.production), np.array([row[index] for row in table.production_with])
    scale = min(most / max(int(totals.sum()), 1), 1.0)
    return np.round(scale * hits).astype(np.int64), np.round(scale * totals).astype(np.int64)


def expected_counts(report: BiasReport, tie: Tie, most: int, others: int) -> tuple[Reals, Reals]:
    """(K,) the same once `others` more frames are labeled that are as production shows them."""
    table = next(each for each in report.tables if (each.kind, each.name) == (tie.kind, tie.factor))
    hits, totals = known_counts(report, tie, most)
    index, size = report.classes.index(tie.class_name), sum(table.production)
    scale = others / max(size, 1)
    more = np.array([row[index] for row in table.production_with])
    return hits + scale * more, totals + scale * np.array(table.production)


def keep(project: Project, report: BiasReport) -> None:
    """Stores the report for pages; the newest few stay."""
    with write(project.engine) as session:
        add_page_fact(session, KIND, json.loads(REPORTS.dump_json(report)))
        old = [fact for fact, _ in page_fact_dates(session, KIND)][:-KEPT]
        drop_page_facts(session, old)


def kept(project: Project) -> tuple[datetime, BiasReport] | None:
    """The newest report that was stored and when it was made, with what people decided since."""
    with read(project.engine) as session:
        row = latest_page_fact(session, KIND)
        chosen = choices(session)
    if row is None:
        return None
    report = REPORTS.validate_python(row.value)
    return row.made_at, replace(report, ties=tuple(_decided(tie, chosen) for tie in report.ties))


def _decided(tie: Tie, chosen: Mapping[str, Mapping[str, Any]]) -> Tie:
    found = chosen.get(tie.id)
    return replace(tie, choice=found["choice"], reason=found["reason"]) if found else tie


def _collecting(bias: Bias, tie: Tie, open_rows: Bools, most: int) -> Tie:
    """With what to collect, what is wanted most first."""
    table = next(each for each in bias.report.tables if (each.kind, each.name) == (tie.kind, tie.factor))
    wanted = evening(*known_counts(bias.report, tie, most), most)
    there = bias.available(tie, open_rows)
    found = []
    for place, column in np.argwhere(wanted > 0).tolist():
        level, with_class = table.levels[place], column == 0
        at = at_place(tie, level.name)
        text = f"{tie.class_name} {at}" if with_class else f"frames {at} without {tie.class_name}"
        count, available = int(wanted[place, column]), int(there[place, column])
        found.append(Collect(text, level.name, with_class, count, available, level.query))
    return replace(tie, collect=tuple(sorted(found, key=lambda one: -one.wanted)))
