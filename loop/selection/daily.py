"""What `fieldloop serve` selects: a share of the frames that are new, within the day's budget."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from connectors.ports import Progress
from db.engine import read, write
from db.facts import get_fact, set_fact
from db.frames import count_analyzed
from db.tasks import batches, selected_today
from loop.analysis import producers
from loop.base.errors import Waiting
from loop.base.lease import exclusive
from loop.gaps import coverage_view
from loop.gaps.coverage_view import CoverageView
from loop.project.project import Project
from loop.project.wiring import Parts
from loop.selection.select import CONSIDERED, Request, SelectReport, select_from

ANALYZED_SHARE = 0.8


def select_daily(parts: Parts, progress: Progress) -> SelectReport:
    """What `fieldloop serve` selects: a share of the frames that are new since its last batch,
    within the day's budget.

    Raises Waiting while most of production, after a promotion say, has yet to be analyzed by the
    current models: frames seen first are no fair choice.
    """
    with exclusive(parts.project.engine, "select") as mine:
        return _daily(parts, progress) if mine else SelectReport(busy=True)


def _daily(parts: Parts, progress: Progress) -> SelectReport:
    project = parts.project
    settings = project.settings.select
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with read(project.engine) as session:
        left = settings.daily_budget - selected_today(session, midnight)
        before, now = _considered(session), count_analyzed(session)
    if min(left, _grown(settings.share_of_new, before, now)) < 1:
        return SelectReport()
    _wait_for_analysis(parts)
    view = coverage_view.build(parts, progress)
    # Analysis goes on meanwhile: what the view holds is what counts as considered.
    budget = min(left, _grown(settings.share_of_new, before, len(view.production)))
    if budget < 1:
        return SelectReport()
    report = select_from(project, view, Request(budget, settings.strategy))
    if report.batch is None:
        _remember_considered(project, view)
    return report


def _wait_for_analysis(parts: Parts) -> None:
    found = producers.backlog_of(parts)
    if found.analyzed < ANALYZED_SHARE * found.production:
        raise Waiting(
            f"expected {ANALYZED_SHARE:.0%} of production to be analyzed by the current models before frames"
            " are chosen each day, got less; selection goes on by itself when analysis is that far"
        )


def _considered(session: Session) -> int:
    """The most analyzed frames among which `fieldloop serve` or anyone chose already."""
    of_batches = max((int(batch.settings.get(CONSIDERED, 0)) for batch in batches(session)), default=0)
    return max(of_batches, int(get_fact(session, CONSIDERED) or 0))


def _remember_considered(project: Project, view: CoverageView) -> None:
    """Otherwise frames of which none was worth labeling would be looked at again and again."""
    with write(project.engine) as session:
        set_fact(session, CONSIDERED, str(len(view.production)))


def _grown(share: float, before: int, now: int) -> int:
    """By how many whole frames the share of all grew: nothing is lost to rounding over many small
    batches.
    """
    return math.floor(share * now + 1e-9) - math.floor(share * before + 1e-9)
