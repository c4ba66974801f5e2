"""What is done in the background for people: each kind of work by its name.

Every kind may be begun again after a kill: what it makes is found by its number, or made over.
"""

from __future__ import annotations

from collections.abc import Callable

from connectors.ports import Progress
from db.states import WorkKind
from db.work import WorkRow
from loop.base.errors import Waiting
from loop.base.wording import counted
from loop.changes.audit import Who
from loop.changes.frames import batch_of_work, select_within
from loop.gaps import counterfactual
from loop.gaps.slices import record_collection
from loop.gaps.upkeep import compare, make_map_anew
from loop.insights.bias import survey
from loop.insights.frame_query import FrameQuery
from loop.project.wiring import Parts
from loop.rounds.kept_preflight import keep_preflight

Run = Callable[[Parts, WorkRow, Progress], str]
"""Answers what it did, for people."""


def _compare(parts: Parts, work: WorkRow, progress: Progress) -> str:
    return compare(parts, progress)


def _bias(parts: Parts, work: WorkRow, progress: Progress) -> str:
    report = survey(parts, progress)
    return f"{counted(len(report.shown), 'class')} tied to a place" if report.shown else "nothing is tied"


def _counterfactual(parts: Parts, work: WorkRow, progress: Progress) -> str:
    report = counterfactual.look(parts, progress)
    return f"the detector looked at {counted(report.images, 'image')}"


def _map(parts: Parts, work: WorkRow, progress: Progress) -> str:
    return make_map_anew(parts, progress)


def _preflight(parts: Parts, work: WorkRow, progress: Progress) -> str:
    return keep_preflight(parts, progress)


def _select(parts: Parts, work: WorkRow, progress: Progress) -> str:
    """address, budget. One batch, however often it is begun."""
    if (batch := batch_of_work(parts.project, work.id)) is not None:
        return f"batch {batch} was chosen before the service was stopped"
    query, budget = FrameQuery.parse(work.arguments["address"]), work.arguments["budget"]
    report = select_within(parts, Who(work.who, work.via), query, progress, budget, work.id)
    if report.busy:
        raise Waiting("another process is selecting for this project; ask again when it is done")
    return "; ".join(report.lines())


def _gather(parts: Parts, work: WorkRow, progress: Progress) -> str:
    """collection: its id."""
    number = work.arguments["collection"]
    record_collection(parts, number, progress)
    return f"collection {number}"


KINDS: dict[WorkKind, Run] = {
    WorkKind.COMPARE: _compare,
    WorkKind.BIAS: _bias,
    WorkKind.COUNTERFACTUAL: _counterfactual,
    WorkKind.MAP: _map,
    WorkKind.PREFLIGHT: _preflight,
    WorkKind.SELECT: _select,
    WorkKind.GATHER: _gather,
}
